# As much of OpenWrt's build root as a package of ours wants: for cross/package and tests/package, which have no build root.
INCLUDE_DIR:=$(TOPDIR)/include
INSTALL_DIR:=install -d -m 0755
INSTALL_BIN:=install -m 0755
INSTALL_DATA:=install -m 0644
INSTALL_CONF:=install -m 0600
