//! The protocol version of a message, counted as nginx counts it.

/// `major * 1000 + minor`, so that versions compare: HTTP/0.9 is 9, HTTP/1.1 is 1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version(u32);

impl Version {
    pub(crate) const HTTP_09: Version = Version(9);
    pub(crate) const HTTP_10: Version = Version(1000);
    pub(crate) const HTTP_11: Version = Version(1001);
    pub(crate) const HTTP_2: Version = Version(2000);
    pub(crate) const HTTP_3: Version = Version(3000);

    /// nginx reads minors up to 999; `HTTP/1.2` is a version of its own, later than 1.1.
    #[inline]
    pub(crate) const fn new(major: u32, minor: u32) -> Version {
        Version(major * 1000 + minor)
    }

    pub(crate) const fn major(self) -> u32 {
        self.0 / 1000
    }

    pub(crate) const fn minor(self) -> u32 {
        self.0 % 1000
    }
}

impl Default for Version {
    /// What nginx assumes until a request line says otherwise, so that an error page has a head.
    fn default() -> Version {
        Version::HTTP_10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_numbers() {
        assert_eq!(Version::new(1, 1), Version::HTTP_11);
        assert_eq!(Version::new(0, 9), Version::HTTP_09);
        assert!(Version::new(1, 2) > Version::HTTP_11 && Version::new(1, 999) < Version::HTTP_2);
        assert_eq!((Version::new(1, 12).major(), Version::new(1, 12).minor()), (1, 12));
    }
}
