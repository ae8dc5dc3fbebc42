//! A regular expression as a tree, for those that are regular in the strict sense.

use super::ByteSet;
use crate::conf::pcre::counts;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// One byte of these.
    Set(ByteSet),
    /// `^`
    Start,
    /// `$`
    End,
    /// One behind the other.
    Sequence(Vec<Node>),
    /// One of these.
    Choice(Vec<Node>),
    /// So many times; `None`: any number.
    Repeat(Box<Node>, u32, Option<u32>),
    /// A group that captures: its number in [`Pattern::groups`].
    Group(usize, Box<Node>),
}

/// A pattern that was read.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The whole of it.
    pub root: Node,
    /// The names of its groups; those without a name have an empty one.
    pub groups: Vec<String>,
    /// Where dots stand that mean any byte, outside of classes and not repeated.
    pub dots: Vec<usize>,
}

/// Groups inside groups deeper than this are not read.
const DEEPEST: usize = 50;

struct Reader<'p> {
    text: &'p [u8],
    at: usize,
    caseless: bool,
    depth: usize,
    groups: Vec<String>,
    dots: Vec<usize>,
}

impl Pattern {
    /// Reads a pattern; none where it is wrong, or asks for more than a strictly regular expression can.
    pub fn read(text: &[u8], caseless: bool) -> Option<Self> {
        let mut reader = Reader { text, at: 0, caseless, depth: 0, groups: Vec::new(), dots: Vec::new() };
        let root = reader.choice()?;
        (reader.at == text.len()).then_some(Self { root, groups: reader.groups, dots: reader.dots })
    }

    /// The group of this number, from 0.
    pub fn group(&self, number: usize) -> Option<&Node> {
        self.root.parts().find(|node| matches!(node, Node::Group(at, _) if *at == number))
    }
}

impl Node {
    /// This node and all inside it.
    pub fn parts(&self) -> impl Iterator<Item = &Node> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children().iter().rev());
            Some(node)
        })
    }

    /// The nodes right inside this one.
    pub fn children(&self) -> &[Node] {
        match self {
            Node::Sequence(nodes) | Node::Choice(nodes) => nodes,
            Node::Repeat(node, ..) | Node::Group(_, node) => std::slice::from_ref(node),
            Node::Set(_) | Node::Start | Node::End => &[],
        }
    }

    /// Whether it matches the empty text.
    pub fn is_optional(&self) -> bool {
        match self {
            Node::Set(_) => false,
            Node::Start | Node::End => true,
            Node::Sequence(nodes) => nodes.iter().all(Node::is_optional),
            Node::Choice(nodes) => nodes.iter().any(Node::is_optional),
            Node::Repeat(node, least, _) => *least == 0 || node.is_optional(),
            Node::Group(_, node) => node.is_optional(),
        }
    }

    /// The bytes that a match can begin with.
    pub fn first(&self) -> ByteSet {
        match self {
            Node::Set(set) => *set,
            Node::Start | Node::End => ByteSet::NONE,
            Node::Sequence(nodes) => reach(nodes.iter(), Node::first),
            Node::Choice(nodes) => nodes.iter().fold(ByteSet::NONE, |all, node| all | node.first()),
            Node::Repeat(node, ..) | Node::Group(_, node) => node.first(),
        }
    }

    /// Every byte that a match can hold.
    pub fn bytes(&self) -> ByteSet {
        self.parts().fold(ByteSet::NONE, |all, node| if let Node::Set(set) = node { all | *set } else { all })
    }
}

/// What can be reached through nodes that may be empty.
fn reach<'n>(nodes: impl Iterator<Item = &'n Node>, of: fn(&Node) -> ByteSet) -> ByteSet {
    let mut all = ByteSet::NONE;
    for node in nodes {
        all = all | of(node);
        if !node.is_optional() {
            break;
        }
    }
    all
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn choice(&mut self) -> Option<Node> {
        let mut ways = vec![self.sequence()?];
        while self.take(b"|") {
            ways.push(self.sequence()?);
        }
        if ways.len() == 1 { ways.pop() } else { Some(Node::Choice(ways)) }
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !matches!(byte, b'|' | b')')) {
            let start = self.at;
            let Some(node) = self.item(byte)? else { continue };
            let repeated = self.repeated(node)?;
            if byte == b'.' && matches!(repeated, Node::Set(_)) {
                self.dots.push(start);
            }
            nodes.push(repeated);
        }
        if nodes.len() == 1 { nodes.pop() } else { Some(Node::Sequence(nodes)) }
    }

    /// One item without what repeats it; nothing for options, which only change how the rest is read.
    fn item(&mut self, byte: u8) -> Option<Option<Node>> {
        self.at += 1;
        Some(Some(match byte {
            b'^' => Node::Start,
            b'$' => Node::End,
            b'.' => Node::Set(!ByteSet::one(b'\n')),
            b'[' => Node::Set(self.class()?),
            b'(' if self.take(b"?i)") => {
                self.caseless = true;
                return Some(None);
            }
            b'(' => self.group()?,
            b'\\' => match self.peek()? {
                b'A' => self.anchor(Node::Start),
                b'z' | b'Z' => self.anchor(Node::End),
                _ => Node::Set(self.escape()?),
            },
            b'*' | b'+' | b'?' => return None,
            _ => Node::Set(self.cased(ByteSet::one(byte))),
        }))
    }

    fn anchor(&mut self, node: Node) -> Node {
        self.at += 1;
        node
    }

    fn cased(&self, set: ByteSet) -> ByteSet {
        if self.caseless { set.caseless() } else { set }
    }

    fn group(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let caseless = self.caseless;
        let node = if self.take(b"?:") {
            self.choice()?
        } else if self.take(b"?i:") {
            self.caseless = true;
            self.choice()?
        } else {
            let name = self.name()?;
            let number = self.groups.len();
            self.groups.push(name);
            Node::Group(number, Box::new(self.choice()?))
        };
        self.caseless = caseless;
        self.depth -= 1;
        self.take(b")").then_some(node)
    }

    /// The name of a group, an empty one where it has none.
    fn name(&mut self) -> Option<String> {
        if !self.text[self.at..].starts_with(b"?") {
            return Some(String::new());
        }
        let close = if self.take(b"?<") || self.take(b"?P<") {
            b'>'
        } else if self.take(b"?'") {
            b'\''
        } else {
            return None;
        };
        let length = self.text[self.at..].iter().position(|byte| *byte == close)?;
        let name = std::str::from_utf8(&self.text[self.at..self.at + length]).ok()?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        self.at += length + 1;
        (is_name && !name.is_empty()).then(|| name.to_owned())
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let (least, most) = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => {
                let Some((least, most, length)) = counts(&self.text[self.at..]) else { return Some(node) };
                self.at += length - 1;
                (u32::try_from(least).ok()?, most.map(u32::try_from).transpose().ok()?)
            }
            _ => return Some(node),
        };
        self.at += 1;
        if self.peek() == Some(b'+') {
            // What takes without giving back matches less than it looks.
            return None;
        }
        self.take(b"?");
        Some(Node::Repeat(Box::new(node), least, most))
    }

    /// What stands behind `[`.
    fn class(&mut self) -> Option<ByteSet> {
        let negated = self.take(b"^");
        let mut set = ByteSet::NONE;
        let mut first = true;
        while first || self.peek()? != b']' {
            first = false;
            set = set | self.member()?;
        }
        self.at += 1;
        let set = self.cased(set);
        Some(if negated { !set } else { set })
    }

    fn member(&mut self) -> Option<ByteSet> {
        let byte = self.peek()?;
        self.at += 1;
        let from = match byte {
            b'[' if matches!(self.peek(), Some(b':' | b'.' | b'=')) => return self.posix(),
            b'\\' => self.escape()?,
            _ => ByteSet::one(byte),
        };
        let [b'-', behind, ..] = self.text[self.at..] else { return Some(from) };
        let mut bytes = from.bytes();
        let (Some(low), None) = (bytes.next(), bytes.next()) else { return Some(from) };
        if behind == b']' {
            return Some(from);
        }
        self.at += 2;
        let high = if behind == b'\\' { self.escape()?.bytes().next()? } else { behind };
        Some(ByteSet::range(low, high))
    }

    /// `[:alpha:]`
    fn posix(&mut self) -> Option<ByteSet> {
        let length = self.text[self.at..].windows(2).position(|pair| pair == b":]")?;
        let name = self.text[self.at..self.at + length].strip_prefix(b":")?;
        self.at += length + 2;
        let holds: fn(&u8) -> bool = match name {
            b"alpha" => u8::is_ascii_alphabetic,
            b"digit" => u8::is_ascii_digit,
            b"alnum" => u8::is_ascii_alphanumeric,
            b"lower" => u8::is_ascii_lowercase,
            b"upper" => u8::is_ascii_uppercase,
            b"punct" => u8::is_ascii_punctuation,
            b"xdigit" => u8::is_ascii_hexdigit,
            b"graph" => u8::is_ascii_graphic,
            b"word" => |byte| byte.is_ascii_alphanumeric() || *byte == b'_',
            b"space" => |byte| byte.is_ascii_whitespace() || *byte == 0x0b,
            _ => return None,
        };
        Some((0..=255).filter(holds).fold(ByteSet::NONE, ByteSet::with))
    }

    /// What stands behind `\`.
    fn escape(&mut self) -> Option<ByteSet> {
        let byte = self.peek()?;
        self.at += 1;
        let digit = ByteSet::range(b'0', b'9');
        let word = digit | ByteSet::range(b'a', b'z') | ByteSet::range(b'A', b'Z') | ByteSet::one(b'_');
        let space = ByteSet::of(b" \t\n\r\x0b\x0c");
        Some(match byte {
            b'd' => digit,
            b'D' => !digit,
            b'w' => word,
            b'W' => !word,
            b's' => space,
            b'S' => !space,
            b'n' => ByteSet::one(b'\n'),
            b'r' => ByteSet::one(b'\r'),
            b't' => ByteSet::one(b'\t'),
            b'f' => ByteSet::one(0x0c),
            b'x' => {
                let digits = std::str::from_utf8(self.text.get(self.at..self.at + 2)?).ok()?;
                self.at += 2;
                self.cased(ByteSet::one(u8::from_str_radix(digits, 16).ok()?))
            }
            _ if byte.is_ascii_alphanumeric() => return None,
            _ => ByteSet::one(byte),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Pattern> {
        Pattern::read(text.as_bytes(), false)
    }

    #[test]
    fn dots_and_groups_are_found() {
        let pattern = read(r"^/(?<name>[a-z.]+).php(?:x|y)(.*)$").expect("regular");
        assert_eq!((pattern.groups, pattern.dots), (vec!["name".to_owned(), String::new()], vec![18]));
    }

    #[test]
    fn what_is_not_strictly_regular_is_not_read() {
        for text in [r"(a)\1", "a(?=b)", "a(?!b)", r"\bx", "a++", "(?>a)", "a)", "(a", "[a", "*a", r"\p{L}"] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_matches_the_empty_text_is_known() {
        for (text, empty) in [("a*", true), ("a|b?", true), ("(a)(b)?", false), ("^$", true), ("(?:a{0,2})", true)] {
            assert_eq!(read(text).expect("regular").root.is_optional(), empty, "{text}");
        }
    }
}
