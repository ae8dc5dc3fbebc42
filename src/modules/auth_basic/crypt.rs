//! Password hashes: apr1, SSHA, SHA and PLAIN of our own, and whatever the system's `crypt` knows.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::sync::OnceLock;

use crate::http::base64;
use crate::http::md5::md5;
use crate::http::sha1::sha1;

/// The password as the file would have it, if it is the one that the file has. Both end at a NUL.
///
/// # Errors
/// Why the system's `crypt` could not tell.
pub(super) fn crypt(password: &[u8], kept: &[u8]) -> io::Result<Vec<u8>> {
    let password = password.split(|byte| *byte == 0).next().unwrap_or_default();
    if let Some(salt) = kept.strip_prefix(b"$apr1$") {
        return Ok(apr1(password, salt));
    }
    if kept.starts_with(b"{PLAIN}") {
        return Ok([b"{PLAIN}", password].concat());
    }
    if let Some(encoded) = kept.strip_prefix(b"{SSHA}") {
        return Ok(ssha(password, encoded));
    }
    if kept.starts_with(b"{SHA}") {
        let mut out = b"{SHA}".to_vec();
        base64::append(&sha1(&[password]), &mut out);
        return Ok(out);
    }
    system_crypt(password, kept)
}

/// A salt is what lies behind the 20 bytes of the digest.
fn ssha(password: &[u8], encoded: &[u8]) -> Vec<u8> {
    let decoded = base64::decode(encoded).unwrap_or_default();
    let salt = decoded.get(20..).unwrap_or_default();
    let mut out = b"{SSHA}".to_vec();
    base64::append(&[&sha1(&[password, salt])[..], salt].concat(), &mut out);
    out
}

/// Poul-Henning Kamp's thousand rounds of MD5, under Apache's name.
fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    const MAGIC: &[u8] = b"$apr1$";
    let end = salt.iter().position(|byte| *byte == b'$').unwrap_or(salt.len()).min(8);
    let salt = &salt[..end];
    let mut digest = md5(&[password, salt, password]);
    let mut text = [password, MAGIC, salt].concat();
    text.extend(digest.iter().cycle().take(password.len()));
    let mut length = password.len();
    while length > 0 {
        text.push(if length & 1 == 1 { 0 } else { password[0] });
        length >>= 1;
    }
    digest = md5(&[&text]);
    for round in 0..1000 {
        let odd = round % 2 == 1;
        let (first, last) = if odd { (password, &digest[..]) } else { (&digest[..], password) };
        let middle = if round % 3 != 0 { salt } else { b"" };
        let third = if round % 7 != 0 { password } else { b"" };
        digest = md5(&[first, middle, third, last]);
    }
    let mut out = [MAGIC, salt, b"$"].concat();
    for [high, middle, low] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        append64(u32::from_be_bytes([0, digest[high], digest[middle], digest[low]]), 4, &mut out);
    }
    append64(u32::from(digest[11]), 2, &mut out);
    out
}

fn append64(mut bits: u32, letters: usize, out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..letters {
        out.push(LETTERS[(bits & 63) as usize]);
        bits >>= 6;
    }
}

/// `char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)`
type CryptR = unsafe extern "C" fn(*const c_char, *const c_char, *mut c_void) -> *mut c_char;

/// More than any system's `struct crypt_data` takes.
const DATA: usize = 160 << 10;

fn system_crypt(password: &[u8], setting: &[u8]) -> io::Result<Vec<u8>> {
    let crypt_r = find_crypt().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSYS))?;
    let password = CString::new(password)?;
    let setting = CString::new(setting.split(|byte| *byte == 0).next().unwrap_or_default())?;
    let mut data = vec![0u64; DATA / 8];
    // SAFETY: both strings end in NUL and live through the call; the data is zeroed, as the function wants it
    // on its first use, aligned, larger than it needs, and nobody else's.
    let hash = unsafe { crypt_r(password.as_ptr(), setting.as_ptr(), data.as_mut_ptr().cast()) };
    if hash.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a result that is not null is a string that ends in NUL and stands in the data, which is still there.
    Ok(unsafe { CStr::from_ptr(hash) }.to_bytes().to_vec())
}

/// The function is looked for when it is first needed: few need it, and not every system has it.
fn find_crypt() -> Option<CryptR> {
    static FOUND: OnceLock<Option<CryptR>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        const NOW: c_int = libc::RTLD_NOW;
        let library = [c"libcrypt.so.1", c"libcrypt.so.2", c"libcrypt.so"].into_iter().find_map(|name| {
            // SAFETY: the name ends in NUL; the library has no constructor that minds being loaded late.
            let library = unsafe { libc::dlopen(name.as_ptr(), NOW) };
            (!library.is_null()).then_some(library)
        })?;
        // SAFETY: the library was opened and is never closed; the name ends in NUL.
        let symbol = unsafe { libc::dlsym(library, c"crypt_r".as_ptr()) };
        if symbol.is_null() {
            return None;
        }
        // SAFETY: the function of this name has this type wherever there is one.
        Some(unsafe { std::mem::transmute::<*mut c_void, CryptR>(symbol) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(password: &str, kept: &str) -> bool {
        crypt(password.as_bytes(), kept.as_bytes()).is_ok_and(|crypted| crypted == kept.as_bytes())
    }

    #[test]
    fn knows_its_own() {
        for kept in [
            "{PLAIN}password",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "{SSHA}PaumEiuUpveW0fINWfaftrcGnVZwZXBwZXI=",
            "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.",
        ] {
            assert!(
                holds("password", kept),
                "{kept}: {:?}",
                crypt(b"password", kept.as_bytes()).map(String::from_utf8)
            );
            assert!(!holds("passwort", kept), "{kept}");
        }
    }

    #[test]
    fn asks_the_system() {
        if find_crypt().is_some() {
            assert!(holds("password", "$1$salt$qJH7.N4xYta3aEG/dfqo/0"));
            assert!(!holds("passwort", "$1$salt$qJH7.N4xYta3aEG/dfqo/0"));
        }
    }
}
