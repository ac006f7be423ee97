//! Checks that a symbol of a library is a function that can be called.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use super::files::is_same_file;
use crate::plugin::is_executable;

/// Why a symbol cannot be an init function. The text is meant to follow the symbol's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotInit {
    /// The symbol is a variable, or something else that is not code.
    NotAFunction,
    /// The symbol is a function of the C library. None of these returns a plugin, and some never
    /// return.
    OfTheCLibrary,
}

impl NotInit {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NotAFunction => "is not a function; name the init function of a plugin",
            Self::OfTheCLibrary => {
                "is a function of the C library; name the init function of a plugin"
            }
        }
    }
}

/// What the dynamic linker knows about an address.
struct Symbol {
    /// The start of the library that holds the address.
    base: usize,
    library: PathBuf,
    /// The kind of the symbol at exactly this address, such as `STT_FUNC`.
    kind: Option<u8>,
}

/// Kinds of symbols that may be code (ELF, `st_info`). Code written in assembler often has none.
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// Checks that `address`, which the linker gave for a symbol of `library`, may be called. If
/// another library, on which `library` depends, holds the function, returns that library.
pub(super) fn check(address: *const c_void, library: &Path) -> Result<Option<PathBuf>, NotInit> {
    if !is_executable(address.addr()) {
        return Err(NotInit::NotAFunction);
    }
    let Some(symbol) = find(address) else {
        return Ok(None);
    };
    // Some linkers put constants beside the code.
    if !symbol
        .kind
        .is_none_or(|kind| [STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC].contains(&kind))
    {
        return Err(NotInit::NotAFunction);
    }
    let of_c = libc::getpid as unsafe extern "C" fn() -> libc::pid_t;
    if find(of_c as *const c_void).is_some_and(|of_c| of_c.base == symbol.base) {
        return Err(NotInit::OfTheCLibrary);
    }
    Ok((!is_same_file(&symbol.library, library)).then_some(symbol.library))
}

fn find(address: *const c_void) -> Option<Symbol> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let mut entry = ptr::null_mut();
    // SAFETY: the linker fills `info` and `entry` if it knows the address.
    let info = unsafe {
        if look_up(address, info.as_mut_ptr(), &raw mut entry) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a string of the linker, valid while the library is loaded.
    let library = unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes();
    let kind = ptr::eq(info.dli_saddr, address.cast_mut())
        .then(|| kind(entry))
        .flatten();
    Some(Symbol {
        base: info.dli_fbase.addr(),
        library: OsStr::from_bytes(library).into(),
        kind,
    })
}

/// Like `dladdr`, and sets `entry` to the symbol's table entry, if the linker provides that.
///
/// # Safety
///
/// `info` and `entry` may be written to.
unsafe fn look_up(
    address: *const c_void,
    info: *mut libc::Dl_info,
    entry: *mut *mut c_void,
) -> c_int {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const RTLD_DL_SYMENT: c_int = 1;
        // SAFETY: the caller vouches for `info` and `entry`.
        unsafe { libc::dladdr1(address, info, entry, RTLD_DL_SYMENT) }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        let _ = entry;
        // SAFETY: the caller vouches for `info`.
        unsafe { libc::dladdr(address, info) }
    }
}

/// The kind of a symbol, from its entry in the symbol table.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kind(entry: *mut c_void) -> Option<u8> {
    #[cfg(target_pointer_width = "64")]
    type Entry = libc::Elf64_Sym;
    #[cfg(target_pointer_width = "32")]
    type Entry = libc::Elf32_Sym;
    // SAFETY: `entry` is null, or an entry of a loaded library's symbol table (`RTLD_DL_SYMENT`).
    let entry = unsafe { entry.cast::<Entry>().as_ref() };
    entry.map(|entry| entry.st_info & 0xf)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn kind(_entry: *mut c_void) -> Option<u8> {
    None
}
