//! Users and groups by name, as the system's database has them.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;

use crate::http::User;

/// Room for one entry of the database: glibc's own suggestion is smaller.
const ENTRY: usize = 16 * 1024;

/// The user of a name, with the group of another; without one, the group of the user's own name, as `user` has it.
/// `None` where there is no such user or group.
pub fn find(user: &str, group: Option<&str>) -> io::Result<Option<User>> {
    let (Some(uid), Some(gid)) = (user_number(user)?, group_number(group.unwrap_or(user))?) else { return Ok(None) };
    Ok(Some(User { name: user.to_owned(), uid, gid }))
}

fn user_number(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut strings = vec![0; ENTRY];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to memory of ours of the sizes given, and the name is NUL-terminated.
    let errno = unsafe {
        libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), strings.as_mut_ptr(), strings.len(), &raw mut found)
    };
    // SAFETY: where the call found an entry, `found` points to `entry`, which it has filled.
    answer(errno, (!found.is_null()).then(|| unsafe { (*found).pw_uid }))
}

fn group_number(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let mut strings = vec![0; ENTRY];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to memory of ours of the sizes given, and the name is NUL-terminated.
    let errno = unsafe {
        libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), strings.as_mut_ptr(), strings.len(), &raw mut found)
    };
    // SAFETY: where the call found an entry, `found` points to `entry`, which it has filled.
    answer(errno, (!found.is_null()).then(|| unsafe { (*found).gr_gid }))
}

/// A missing entry is no error, whatever number a C library has for it.
fn answer(errno: i32, number: Option<u32>) -> io::Result<Option<u32>> {
    match errno {
        0 | libc::ENOENT | libc::ESRCH => Ok(number),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_root_and_nobody_else() {
        let root = find("root", None).unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(find("root", Some("no-such-group")).unwrap(), None);
        assert_eq!(find("no-such-user", None).unwrap(), None);
        assert!(find("nul\0", None).is_err());
    }
}
