# BuildPackage, for one variant: metadata on request (DUMP=1), else an .ipk in OUT. ARCH_PACKAGES is its architecture.
PKG_BUILD_DIR:=$(OUT)/build-$(BUILD_VARIANT)
PKG_INSTALL_DIR:=$(PKG_BUILD_DIR)/install
package_root=$(PKG_BUILD_DIR)/root
package_control=$(PKG_BUILD_DIR)/control
package_file=$(OUT)/$(1)_$(PKG_VERSION)-r$(PKG_RELEASE)_$(ARCH_PACKAGES).ipk
# Dependencies on what a target is (@…) are the build root's; + is "select it, too".
package_depends=$(subst $(space),$(comma)$(space),$(strip libc $(patsubst +%,%,$(filter-out @%,$(DEPENDS)))))
comma:=,
empty:=
space:=$(empty) $(empty)
define newline


endef
tar:=tar c --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(or $(SOURCE_DATE_EPOCH),0)

define blank
  $(foreach field,SECTION CATEGORY SUBMENU TITLE URL DEPENDS CONFLICTS PROVIDES USERID VARIANT DEFAULT_VARIANT,
$(field):=)
endef

define package_metadata
Package: $(1)
Version: $(PKG_VERSION)-r$(PKG_RELEASE)
Depends: $(DEPENDS)
Conflicts: $(CONFLICTS)
Provides: $(PROVIDES)
Variant: $(VARIANT)$(if $(DEFAULT_VARIANT), (default))
Section: $(SECTION)
Category: $(CATEGORY), $(SUBMENU)
Title: $(TITLE)
User: $(USERID)
License: $(PKG_LICENSE), $(PKG_LICENSE_FILES)
Config: $(strip $(Package/$(1)/conffiles))
Rebuilt by an edit of: $(patsubst $(abspath $(TOPDIR)/../..)/%,%,$(PKG_FILE_DEPENDS))
Description: $(Package/$(1)/description)

endef

define package_control_file
Package: $(1)
Version: $(PKG_VERSION)-r$(PKG_RELEASE)
Depends: $(package_depends)
$(if $(CONFLICTS),Conflicts: $(subst $(space),$(comma)$(space),$(CONFLICTS))
)Provides: $(1)-any$(if $(filter-out $(1),$(PROVIDES)),$(comma) $(filter-out $(1),$(PROVIDES)))
License: $(PKG_LICENSE)
Section: $(SECTION)
Require-User: $(USERID)
Maintainer: $(PKG_MAINTAINER)
Architecture: $(ARCH_PACKAGES)
Description: $(TITLE)
endef

# What opkg calls leads to what OpenWrt does for every package, and that to our own part.
define package_script
#!/bin/sh
[ ! -s "$$IPKG_INSTROOT/lib/functions.sh" ] || {
	. "$$IPKG_INSTROOT/lib/functions.sh"
	default_$(1) "$$0" "$$@"
}
endef

define Pack
all: $(call package_file,$(1))
.PHONY: built $(call package_file,$(1))
built:
	rm -rf $(PKG_BUILD_DIR)
	$(Build/Prepare)
	$(Build/Compile)
	mkdir -p $(package_root) $(package_control)
$(call package_file,$(1)): built
	$(call Package/$(1)/install,$(package_root))
	$$(file >$(package_control)/control,$$(control_of_$(1)))
	$$(file >$(package_control)/conffiles,$$(Package/$(1)/conffiles))
	$$(file >$(package_control)/postinst,$$(call package_script,postinst))
	$$(file >$(package_control)/prerm,$$(call package_script,prerm))
	$$(file >$(package_control)/postinst-pkg,$$(Package/$(1)/postinst))
	$$(file >$(package_control)/prerm-pkg,$$(Package/$(1)/prerm))
	$$(file >$(package_control)/postrm,$$(Package/$(1)/postrm))
	cd $(package_control) && chmod 0755 postinst prerm postinst-pkg prerm-pkg postrm
	echo 2.0 >$(PKG_BUILD_DIR)/debian-binary
	cd $(package_root) && $(tar) . | gzip -n9 >../data.tar.gz
	cd $(package_control) && $(tar) . | gzip -n9 >../control.tar.gz
	cd $(PKG_BUILD_DIR) && $(tar) ./debian-binary ./data.tar.gz ./control.tar.gz | gzip -n9 >$$@
	@echo $$@
endef

define BuildPackage
$(eval $(blank))$(eval $(Package/$(1)))$(if $(DUMP),$(info $(call package_metadata,$(1))),$(if $(filter $(BUILD_VARIANT),$(VARIANT)),$(eval define control_of_$(1)$(newline)$(call package_control_file,$(1))$(newline)endef)$(eval $(call Pack,$(1)))))
endef

all:
