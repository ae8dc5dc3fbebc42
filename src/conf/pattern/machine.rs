//! Patterns as machines, and the shortest text that some of them take and others do not.

use std::collections::{HashSet, VecDeque};

use super::{ByteSet, Node};

/// A machine has at most so many states: counted repeats are written out.
const MOST_STATES: usize = 1500;

/// So many sets of states are looked at before a question is given up.
const MOST_STEPS: usize = 4000;

/// When a step without a byte can be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    AtStart,
    AtEnd,
}

#[derive(Default)]
struct State {
    free: Vec<(When, usize)>,
    step: Option<(ByteSet, usize)>,
}

/// A pattern that is searched for anywhere in a text, as nginx searches.
pub struct Machine {
    states: Vec<State>,
    accepts: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A shortest text.
    Text(Vec<u8>),
    /// There is none: this is a proof.
    None,
    /// It would take too long to say.
    Unknown,
}

impl Answer {
    /// The text, where there is one.
    pub fn text(self) -> Option<Vec<u8>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl Machine {
    /// Builds the machine of a pattern; none where it would be too large.
    pub fn new(pattern: &Node) -> Option<Self> {
        let mut machine = Self { states: vec![State::default()], accepts: 0 };
        machine.states[0].step = Some((ByteSet::ALL, 0));
        let start = machine.state();
        machine.states[0].free.push((When::Always, start));
        let end = machine.add(pattern, start)?;
        machine.states[end].step = Some((ByteSet::ALL, end));
        machine.accepts = end;
        Some(machine)
    }

    fn state(&mut self) -> usize {
        self.states.push(State::default());
        self.states.len() - 1
    }

    fn free(&mut self, from: usize, when: When) -> usize {
        let to = self.state();
        self.states[from].free.push((when, to));
        to
    }

    /// Adds a node behind a state; gives the state behind the node.
    fn add(&mut self, node: &Node, from: usize) -> Option<usize> {
        if self.states.len() > MOST_STATES {
            return None;
        }
        Some(match node {
            Node::Start => self.free(from, When::AtStart),
            Node::End => self.free(from, When::AtEnd),
            Node::Set(set) => {
                let from = self.free(from, When::Always);
                let to = self.state();
                self.states[from].step = Some((*set, to));
                to
            }
            Node::Sequence(nodes) => nodes.iter().try_fold(from, |at, node| self.add(node, at))?,
            Node::Choice(nodes) => {
                let end = self.state();
                for node in nodes {
                    let start = self.free(from, When::Always);
                    let at = self.add(node, start)?;
                    self.states[at].free.push((When::Always, end));
                }
                end
            }
            Node::Group(_, node) => self.add(node, from)?,
            Node::Repeat(node, least, most) => self.repeat(node, *least, *most, from)?,
        })
    }

    fn repeat(&mut self, node: &Node, least: u32, most: Option<u32>, from: usize) -> Option<usize> {
        let mut at = self.free(from, When::Always);
        for _ in 0..least {
            at = self.add(node, at)?;
        }
        let Some(most) = most else {
            let again = self.free(at, When::Always);
            let back = self.add(node, again)?;
            self.states[back].free.push((When::Always, again));
            return Some(self.free(again, When::Always));
        };
        let end = self.state();
        for _ in least..most {
            self.states[at].free.push((When::Always, end));
            at = self.add(node, at)?;
        }
        self.states[at].free.push((When::Always, end));
        Some(end)
    }

    /// All states that can be reached without a byte, sorted.
    fn close(&self, mut states: Vec<usize>, at_start: bool, at_end: bool) -> Vec<usize> {
        let mut seen = vec![false; self.states.len()];
        let mut left = std::mem::take(&mut states);
        while let Some(state) = left.pop() {
            if std::mem::replace(&mut seen[state], true) {
                continue;
            }
            states.push(state);
            let open = |when: &When| match when {
                When::Always => true,
                When::AtStart => at_start,
                When::AtEnd => at_end,
            };
            left.extend(self.states[state].free.iter().filter(|(when, _)| open(when)).map(|(_, to)| *to));
        }
        states.sort_unstable();
        states
    }

    fn step(&self, states: &[usize], byte: u8) -> Vec<usize> {
        let steps = states.iter().filter_map(|state| self.states[*state].step);
        let next = steps.filter(|(set, _)| set.has(byte)).map(|(_, to)| to).collect();
        self.close(next, false, false)
    }

    /// Whether a text may end here. `states` are closed but for what needs the end.
    fn ends(&self, states: &[usize], at_start: bool) -> bool {
        self.close(states.to_vec(), at_start, true).contains(&self.accepts)
    }

    /// Whether it matches a text.
    pub fn matches(&self, text: &[u8]) -> bool {
        let mut states = self.close(vec![0], true, false);
        for byte in text {
            states = self.step(&states, *byte);
        }
        self.ends(&states, text.is_empty())
    }
}

/// Bytes in the order in which they are liked in a text that people read.
const LIKED: &[u8] = b"xabcdefghijklmnopqrstuvwyz0123456789/-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A shortest text of these bytes that all of `takes` match and none of `refuses` does.
pub fn shortest(takes: &[&Machine], refuses: &[&Machine], bytes: ByteSet) -> Answer {
    let machines: Vec<_> = takes.iter().chain(refuses).copied().collect();
    let letters = letters(&machines, bytes);
    let start: Vec<_> = machines.iter().map(|machine| machine.close(vec![0], true, false)).collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut paths: Vec<(usize, u8)> = vec![(0, 0)];
    let mut left = VecDeque::from([(start, 0usize)]);
    while let Some((states, number)) = left.pop_front() {
        let ends = |at: usize| machines[at].ends(&states[at], number == 0);
        if (0..takes.len()).all(ends) && !(takes.len()..machines.len()).any(ends) {
            return Answer::Text(spell(&paths, number));
        }
        for letter in &letters {
            let next: Vec<_> = machines.iter().zip(&states).map(|(machine, at)| machine.step(at, *letter)).collect();
            let is_lost = (takes.len()..machines.len()).any(|at| next[at].contains(&machines[at].accepts));
            if is_lost || seen.contains(&next) {
                continue;
            }
            if seen.len() >= MOST_STEPS {
                return Answer::Unknown;
            }
            seen.insert(next.clone());
            paths.push((number, *letter));
            left.push_back((next, paths.len() - 1));
        }
    }
    Answer::None
}

fn spell(paths: &[(usize, u8)], mut number: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while number > 0 {
        text.push(paths[number].1);
        number = paths[number].0;
    }
    text.reverse();
    text
}

/// One byte for all those that no machine tells apart, the best liked of them.
fn letters(machines: &[&Machine], bytes: ByteSet) -> Vec<u8> {
    let mut sets: Vec<ByteSet> = Vec::new();
    for (set, _) in machines.iter().flat_map(|machine| &machine.states).filter_map(|state| state.step) {
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    let others = bytes.bytes().filter(|byte| !LIKED.contains(byte));
    let mut kinds: Vec<Vec<bool>> = Vec::new();
    let mut letters = Vec::new();
    for byte in LIKED.iter().copied().filter(|byte| bytes.has(*byte)).chain(others) {
        let kind: Vec<_> = sets.iter().map(|set| set.has(byte)).collect();
        if !kinds.contains(&kind) {
            kinds.push(kind);
            letters.push(byte);
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::super::{Pattern, compile};
    use super::*;

    fn machine(text: &str) -> Machine {
        Machine::new(&Pattern::read(text.as_bytes(), false).expect("regular").root).expect("small")
    }

    fn difference(takes: &str, refuses: &str) -> Answer {
        shortest(&[&machine(takes)], &[&machine(refuses)], ByteSet::range(b' ', b'~'))
    }

    #[test]
    fn machines_and_the_engine_agree() {
        let texts = ["", "/", "/a", "/a.php", "/a.phpx", "/xphp", "a.php", "/aa/b.png", "/aaa", "/A.PHP", "//"];
        let patterns = [
            r"\.php$",
            r".php",
            r"^/a",
            r"^/a{2,3}",
            "a|b$",
            r"^/(?:a+/)?[^/]*\.(png|php)$",
            "^$",
            "(a*)*b",
            "[[:upper:]]",
        ];
        for pattern in patterns {
            let engine = compile(pattern.as_bytes(), false).expect("a pattern");
            for text in texts {
                let ours = machine(pattern).matches(text.as_bytes());
                assert_eq!(ours, engine.is_match(text.as_bytes()).unwrap(), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_difference_is_a_text_or_a_proof_that_there_is_none() {
        assert_eq!(difference(r"\.png$", r"\.(?:jpg|png|gif)$"), Answer::None);
        assert_eq!(difference(r"^/a/.*\.png$", r"\.png$"), Answer::None);
        assert_eq!(difference(r"\.png$", r"^/a/.*\.png$"), Answer::Text(b".png".to_vec()));
        assert_eq!(difference(".php", r"\.php"), Answer::Text(b"xphp".to_vec()));
        assert_eq!(difference("^/a+$", "^/a{1,40}$"), Answer::Text([b"/", &[b'a'; 41][..]].concat()));
    }

    #[test]
    fn a_question_that_takes_too_long_is_given_up() {
        assert_eq!(difference("^(?:a|b)*a(?:a|b){14}$", "^(?:b|a)*b(?:a|b){13}x$"), Answer::Unknown);
        assert!(Machine::new(&Pattern::read(b"(?:a{100}){100}", false).expect("regular").root).is_none());
    }
}
