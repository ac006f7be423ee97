//! Finds out what is at an address that a plugin gave, without trusting it.
//!
//! A library that is no plugin may return any number as the address of its table. Reading at that
//! address, or calling the functions there, would end the process.

use std::ffi::c_void;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

/// The most bytes read at a time. A pipe takes this many without waiting (POSIX: 512 bytes).
const LONGEST: usize = 512;

/// Copies `LENGTH` bytes from `address`. `None` if they cannot all be read.
///
/// The kernel reads them: it copies them into a pipe, and fails with `EFAULT` where there is no
/// memory. Seccomp profiles forbid the other way (`process_vm_readv`), and not every system has
/// `/proc`.
///
/// # Errors
///
/// When the process has no descriptors left for a pipe.
pub(super) fn read<const LENGTH: usize>(address: usize) -> io::Result<Option<[u8; LENGTH]>> {
    const { assert!(LENGTH <= LONGEST) };
    let (mut reader, writer) = io::pipe()?;
    // SAFETY: the kernel checks the address and reads at most `LENGTH` bytes from it.
    let written = unsafe {
        libc::write(
            writer.as_raw_fd(),
            ptr::with_exposed_provenance::<c_void>(address),
            LENGTH,
        )
    };
    let error = io::Error::last_os_error();
    if usize::try_from(written) != Ok(LENGTH) {
        let is_bad_address = written >= 0 || error.raw_os_error() == Some(libc::EFAULT);
        return if is_bad_address { Ok(None) } else { Err(error) };
    }
    let mut bytes = [0; LENGTH];
    reader.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether the code at `address` may be run. Returns `true` if it cannot find out.
pub fn is_executable(address: usize) -> bool {
    // On these systems a function pointer leads to a descriptor among the data.
    const HAS_DESCRIPTORS: bool = cfg!(all(target_arch = "powerpc64", target_endian = "big"));
    HAS_DESCRIPTORS || segment_is_executable(address).unwrap_or_else(|| map_is_executable(address))
}

/// Whether the segment that holds `address` is executable. `None` if no loaded library or program
/// holds it.
#[cfg(not(target_vendor = "apple"))]
fn segment_is_executable(address: usize) -> Option<bool> {
    /// The address to look for, and the result.
    type Search = (usize, Option<bool>);

    unsafe extern "C" fn look(
        object: *mut libc::dl_phdr_info,
        _size: usize,
        search: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: the linker passes the description of an object that it has loaded, and the
        // `Search` from below.
        unsafe {
            let search = &mut *search.cast::<Search>();
            let object = &*object;
            for index in 0..usize::from(object.dlpi_phnum) {
                let segment = &*object.dlpi_phdr.add(index);
                let (Ok(start), Ok(length)) = (
                    usize::try_from(segment.p_vaddr),
                    usize::try_from(segment.p_memsz),
                ) else {
                    continue;
                };
                let start = usize::try_from(object.dlpi_addr)
                    .unwrap_or_default()
                    .wrapping_add(start);
                if segment.p_type == libc::PT_LOAD && search.0.wrapping_sub(start) < length {
                    search.1 = Some(segment.p_flags & libc::PF_X != 0);
                    return 1;
                }
            }
        }
        0
    }

    let mut search: Search = (address, None);
    // SAFETY: `look` is called only before this returns, and with the `search` that it expects.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.1
}

#[cfg(target_vendor = "apple")]
fn segment_is_executable(_address: usize) -> Option<bool> {
    None
}

/// The same for memory without a file: a plugin may make its callbacks while it runs.
fn map_is_executable(address: usize) -> bool {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return true;
    };
    // "START-END rwxp ..."
    let permissions = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        (number(start)?..number(end)?)
            .contains(&address)
            .then_some(rest)
    });
    permissions.is_some_and(|permissions| permissions.as_bytes().get(2) == Some(&b'x'))
}

/// Whether `address` is on the stack of this thread. Returns `false` if it cannot find out.
#[cfg(target_os = "linux")]
pub(super) fn is_on_stack(address: usize) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut length) = (ptr::null_mut(), 0);
    // SAFETY: the first call fills the attributes of the calling thread, the others use and free
    // them.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return false;
        }
        let mut attributes = attributes.assume_init();
        libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut length);
        libc::pthread_attr_destroy(&raw mut attributes);
    }
    address.wrapping_sub(start.addr()) < length
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_on_stack(_address: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::{is_executable, is_on_stack, read};
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
    use std::ptr;

    static CONSTANT: [u8; 4] = *b"text";

    #[test]
    fn memory_is_read_as_far_as_there_is_any() {
        assert_eq!(read(CONSTANT.as_ptr().addr()).unwrap(), Some(*b"text"));
        for nowhere in [0, 1, 12_345, usize::MAX - 3] {
            assert_eq!(read::<4>(nowhere).unwrap(), None, "{nowhere:#x}");
        }
    }

    #[test]
    fn what_begins_in_memory_and_ends_behind_it_is_not_read() {
        let page = rustix::param::page_size();
        // SAFETY: the memory is new and this test's own. Nothing may access its second page.
        unsafe {
            let both = ProtFlags::READ | ProtFlags::WRITE;
            let pages = mmap_anonymous(ptr::null_mut(), 2 * page, both, MapFlags::PRIVATE).unwrap();
            mprotect(pages.byte_add(page), page, MprotectFlags::empty()).unwrap();
            let end = pages.addr() + page;
            assert_eq!(read::<40>(end - 40).unwrap(), Some([0; 40]));
            assert_eq!(read::<40>(end - 39).unwrap(), None);
            munmap(pages, 2 * page).unwrap();
        }
    }

    #[test]
    fn functions_are_executable_and_data_is_not() {
        let heap = Box::new(0_u8);
        let function = is_executable as fn(usize) -> bool;
        assert!(is_executable(function as usize));
        assert!(is_executable(
            libc::getpid as unsafe extern "C" fn() -> i32 as usize
        ));
        assert!(!is_executable((&raw const *heap).addr()));
        assert!(!is_executable((&raw const function).addr()));
        assert!(!is_executable(0));
        // SAFETY: new memory of this test's own.
        unsafe {
            let code = ProtFlags::READ | ProtFlags::EXEC;
            let made = mmap_anonymous(ptr::null_mut(), 4096, code, MapFlags::PRIVATE).unwrap();
            assert!(is_executable(made.addr()), "made as the program runs");
            munmap(made, 4096).unwrap();
        }
    }

    #[test]
    fn variables_of_a_function_are_on_the_stack() {
        let variable = 0_u8;
        assert!(is_on_stack((&raw const variable).addr()));
        assert!(!is_on_stack(CONSTANT.as_ptr().addr()));
        assert!(!is_on_stack((&raw const *Box::new(0_u8)).addr()));
    }
}
