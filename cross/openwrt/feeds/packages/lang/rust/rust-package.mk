# The environment that the packages feed gives cargo, with all of it that would spoil our program if the package let it:
# panics that unwind, checks of overflow, a dynamic musl. CTWARDEN_PROGRAM: one that is there already is packed.
CARGO_PKG_PROFILE:=release
CARGO_RUSTFLAGS:=-Ctarget-feature=-crt-static
CARGO_PKG_VARS= \
	CARGO_BUILD_TARGET=$(RUSTC_TARGET_ARCH) CARGO_TARGET_DIR=$(CTWARDEN_TARGET_DIR) \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=false \
	CARGO_PROFILE_RELEASE_LTO=true CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
	CARGO_PROFILE_RELEASE_PANIC=unwind CARGO_PROFILE_RELEASE_RPATH=false \
	CARGO_TARGET_$(shell echo $(RUSTC_TARGET_ARCH) | tr a-z- A-Z_)_LINKER=$(TARGET_CC) \
	RUSTFLAGS="$(CARGO_RUSTFLAGS)"
CARGO_PKG_ARGS:=--locked

define Build/Compile/Cargo
	$(if $(CTWARDEN_PROGRAM),install -D -m 0755 $(CTWARDEN_PROGRAM) $(PKG_INSTALL_DIR)/bin/ctwarden,\
	$(CARGO_PKG_VARS) cargo install --quiet --offline --profile $(CARGO_PKG_PROFILE) --root $(PKG_INSTALL_DIR) \
		--path $(PKG_BUILD_DIR) $(CARGO_PKG_ARGS) $(2))
endef

define RustBinPackage
endef
