//! The real libuci: text or file in, package out.

use crate::model::{Bytes, Package, Section, Value};
use libuci_sys::*;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::{path::Path, ptr};

unsafe extern "C" {
    // From libc, to read and write memory as C streams.
    fn fmemopen(buffer: *mut c_void, size: usize, mode: *const c_char) -> *mut c_void;
    fn open_memstream(buffer: *mut *mut c_char, size: *mut usize) -> *mut c_void;
    fn fclose(stream: *mut c_void) -> c_int;
    fn free(pointer: *mut c_void);
}

/// A context of libuci, freed with all its packages at the end.
struct Context(*mut uci_context);

impl Context {
    fn new() -> Self {
        // SAFETY: takes nothing; null only without memory, checked.
        let context = unsafe { uci_alloc_context() };
        assert!(!context.is_null());
        Context(context)
    }

    /// Reads `text` as the file `ctwarden`; the error number if it is refused.
    fn import(&self, text: &[u8]) -> Result<*mut uci_package, c_int> {
        // A stream over nothing cannot be opened; an empty line is as empty.
        let text = if text.is_empty() { b"\n" } else { text };
        let mut package = ptr::null_mut();
        // SAFETY: opened for reading, so the text is not written to; it outlives the stream, which is closed here.
        let status = unsafe {
            let stream = fmemopen(text.as_ptr().cast_mut().cast(), text.len(), c"r".as_ptr());
            assert!(!stream.is_null());
            let status = uci_import(self.0, stream.cast(), c"ctwarden".as_ptr(), &mut package, true);
            fclose(stream);
            status
        };
        if status == 0 { Ok(package) } else { Err(status) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: allocated by uci_alloc_context, freed once.
        unsafe { uci_free_context(self.0) }
    }
}

/// What the real reader makes of `text`.
pub fn read(text: &[u8]) -> Result<Package, c_int> {
    let context = Context::new();
    // SAFETY: the package lives as long as the context.
    context.import(text).map(|package| unsafe { copied(package) })
}

/// What `uci_load` makes of a file.
pub fn load(file: &Path) -> Result<Package, c_int> {
    let context = Context::new();
    let name = CString::new(file.to_str().unwrap()).unwrap();
    let mut package = ptr::null_mut();
    // SAFETY: a zero-terminated name and a place for the answer; the package lives as long as the context.
    unsafe {
        match uci_load(context.0, name.as_ptr(), &mut package) {
            0 => Ok(copied(package)),
            status => Err(status),
        }
    }
}

/// `text` read and written again by libuci, as `uci commit` would leave it behind.
pub fn rewritten(text: &[u8]) -> Option<Vec<u8>> {
    let context = Context::new();
    let package = context.import(text).ok()?;
    let (mut buffer, mut size) = (ptr::null_mut(), 0);
    // SAFETY: open_memstream allocates the buffer, valid for `size` bytes once the stream is closed, and ours to free.
    unsafe {
        let stream = open_memstream(&mut buffer, &mut size);
        assert!(!stream.is_null());
        let status = uci_export(context.0, stream.cast(), package, true);
        fclose(stream);
        assert_eq!(status, 0);
        let written = std::slice::from_raw_parts(buffer.cast::<u8>(), size).to_vec();
        free(buffer.cast());
        Some(written)
    }
}

/// SAFETY: `package` is a valid package of a living context.
unsafe fn copied(package: *mut uci_package) -> Package {
    // SAFETY: libuci's lists are rings through their head, of elements that begin with the list node; sections and options
    // begin with their element. `type_` says which part of the union counts.
    unsafe {
        let mut sections = Vec::new();
        for section in elements(&raw mut (*package).sections) {
            let section = section.cast::<uci_section>();
            let mut options = Vec::new();
            for option in elements(&raw mut (*section).options) {
                let option = option.cast::<uci_option>();
                let value = if (*option).type_ == uci_option_type_UCI_TYPE_STRING {
                    Value::Plain(bytes((*option).v.string))
                } else {
                    let items = elements(&raw mut (*option).v.list);
                    Value::List(items.into_iter().map(|item| bytes((*item).name)).collect())
                };
                options.push((bytes((*option).e.name), value));
            }
            options.sort();
            let name = (!(*section).anonymous).then(|| bytes((*section).e.name));
            sections.push(Section { kind: bytes((*section).type_), name, options });
        }
        Package { sections }
    }
}

unsafe fn elements(head: *mut uci_list) -> Vec<*mut uci_element> {
    let mut found = Vec::new();
    // SAFETY: as above.
    unsafe {
        let mut node = (*head).next;
        while node != head {
            found.push(node.cast::<uci_element>());
            node = (*node).next;
        }
    }
    found
}

unsafe fn bytes(text: *const c_char) -> Bytes {
    // SAFETY: libuci's strings end with a zero.
    Bytes(unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}
