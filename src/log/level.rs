//! The levels of `error_log`: <https://nginx.org/en/docs/ngx_core_module.html#error_log>.

/// How grave a message is; a smaller one is graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// The program cannot go on with what it was doing.
    Emerg = 1,
    /// Something is wrong with the system or with us.
    Alert,
    /// A failure that is not the client's.
    Crit,
    /// A request failed.
    Error,
    /// Something looks wrong, and works.
    Warn,
    /// Normal, and worth a line.
    Notice,
    /// Normal.
    Info,
    /// What happens inside.
    Debug,
}

impl Level {
    const ALL: [Level; 8] =
        [Level::Emerg, Level::Alert, Level::Crit, Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];

    /// The word in brackets.
    pub fn name(self) -> &'static str {
        match self {
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    /// The level that a word of `error_log` names.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().as_bytes() == name)
    }
}

/// The parts of the program that may write debug lines: `debug_core`, `debug_http`, ….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DebugMask(u8);

impl DebugMask {
    /// No debug lines.
    pub const NONE: Self = Self(0);
    /// Start, reload, processes.
    pub const CORE: Self = Self(1);
    /// Memory.
    pub const ALLOC: Self = Self(1 << 1);
    /// Locks.
    pub const MUTEX: Self = Self(1 << 2);
    /// Connections and timers.
    pub const EVENT: Self = Self(1 << 3);
    /// Requests.
    pub const HTTP: Self = Self(1 << 4);
    /// Mail.
    pub const MAIL: Self = Self(1 << 5);
    /// Streams.
    pub const STREAM: Self = Self(1 << 6);
    /// Everything: plain `debug`.
    pub const ALL: Self = Self(0x7f);

    /// The mask that a word such as `debug_http` names.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"debug_core" => Self::CORE,
            b"debug_alloc" => Self::ALLOC,
            b"debug_mutex" => Self::MUTEX,
            b"debug_event" => Self::EVENT,
            b"debug_http" => Self::HTTP,
            b"debug_mail" => Self::MAIL,
            b"debug_stream" => Self::STREAM,
            _ => return None,
        })
    }

    /// Both masks together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the masks share a part.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How much a log takes: up to a level, and debug lines of some parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbosity {
    /// The least grave level that is written.
    pub level: Level,
    /// The parts whose debug lines are written; only with [`Level::Debug`].
    pub debug: DebugMask,
}

impl Verbosity {
    /// What `error_log FILE LEVEL` takes; `debug` takes debug lines of every part.
    pub fn up_to(level: Level) -> Self {
        let debug = if level == Level::Debug { DebugMask::ALL } else { DebugMask::NONE };
        Self { level, debug }
    }

    /// What `error_log FILE debug_http …` takes: all levels, and debug lines of these parts.
    pub fn debugging(debug: DebugMask) -> Self {
        Self { level: Level::Debug, debug }
    }

    /// Whether a message of this level is written; debug lines ask [`Self::debugs`].
    pub fn takes(self, level: Level) -> bool {
        level <= self.level
    }

    /// Whether debug lines of a part are written.
    pub fn debugs(self, part: DebugMask) -> bool {
        self.debug.meets(part)
    }

    /// nginx's order of logs: the most verbose first. A set of debug parts counts more than a level.
    pub(super) fn rank(self) -> u16 {
        u16::from(self.debug.0) << 8 | self.level as u16
    }
}
