//! The keys of a cache: which entries there are, how often they were asked for, and in which order they may go.

use std::collections::HashMap;
use std::time::Instant;

use super::key::Key;

/// Which node it is. It stays valid while somebody holds the node.
pub(crate) type NodeId = u32;

/// No node at all.
const NONE: NodeId = NodeId::MAX;

/// One key.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) key: Key,
    newer: NodeId,
    older: NodeId,
    /// How many requests hold it.
    pub(super) holders: u32,
    uses: u32,
    /// A status to be answered without asking anybody; 0 for none.
    pub(super) error: u16,
    /// There is a file for it.
    pub(super) exists: bool,
    /// Somebody fetches it.
    pub(super) updating: bool,
    /// Its file is being removed.
    pub(super) deleting: bool,
    /// Until when whoever fetches it is to be waited for.
    pub(super) lock: Option<Instant>,
    /// When it may go, in seconds since 1970.
    pub(super) expire: i64,
    /// Until when `error` counts, in seconds since 1970.
    pub(super) valid: i64,
    /// Where the body begins in its file; 0 where that is not known.
    pub(super) body_at: u16,
    /// What its file takes on the disk, in the file system's blocks.
    pub(super) blocks: u64,
    /// The file's inode.
    pub(super) inode: u64,
}

/// What is known of a key that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is new, or what was known counts no more.
    New,
    /// It was not asked for often enough.
    Scarce,
    /// It is an error that is answered again.
    Error(u16),
    /// It is worth keeping.
    Kept {
        /// There is a file for it.
        exists: bool,
        /// Where the body begins in it; 0 where that is not known.
        body_at: u16,
    },
}

/// How a key is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uses {
    /// From how many uses on it is worth keeping.
    pub(crate) least: u64,
    /// The time in seconds since 1970.
    pub(crate) now: i64,
    /// For how many seconds it stays without being asked for.
    pub(crate) inactive: i64,
}

/// All keys, the one asked for last first.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    by_key: HashMap<Key, NodeId>,
    newest: NodeId,
    oldest: NodeId,
    /// How many keys there may be.
    capacity: usize,
    /// How many there should be at most, once there was no room for another.
    pub(super) watermark: usize,
    /// What all files take, in blocks.
    pub(super) blocks: u64,
}

/// The index is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Index {
    /// An empty one for a zone of this size in bytes.
    pub(super) fn new(size: usize) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            newest: NONE,
            oldest: NONE,
            capacity: capacity(size),
            watermark: usize::MAX,
            blocks: 0,
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The node of an id.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The same, to change it.
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The node that was not asked for the longest.
    pub(super) fn oldest(&self) -> Option<NodeId> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Asks for a key; whoever asks holds its node from then on. `held` is the node where it is held already.
    ///
    /// # Errors
    /// [`Full`], which has set the watermark.
    pub(super) fn ask(&mut self, key: Key, held: Option<NodeId>, uses: Uses) -> Result<(NodeId, Known), Full> {
        let known = held.or_else(|| self.by_key.get(&key).copied());
        let Some(id) = known else {
            let id = self.insert(key)?;
            let node = self.node_mut(id);
            (node.uses, node.holders, node.expire) = (1, 1, uses.now + uses.inactive);
            return Ok((id, Known::New));
        };
        self.touch(id);
        let node = self.node_mut(id);
        node.expire = uses.now + uses.inactive;
        if held.is_none() {
            node.uses = node.uses.saturating_add(1);
            node.holders += 1;
        }
        if node.error != 0 {
            if node.valid >= uses.now {
                return Ok((id, Known::Error(node.error)));
            }
            self.renew(id);
            return Ok((id, Known::New));
        }
        if node.exists || u64::from(node.uses) >= uses.least {
            return Ok((id, Known::Kept { exists: node.exists, body_at: node.body_at }));
        }
        Ok((id, Known::Scarce))
    }

    fn renew(&mut self, id: NodeId) {
        let blocks = std::mem::take(&mut self.node_mut(id).blocks);
        self.blocks = self.blocks.saturating_sub(blocks);
        let node = self.node_mut(id);
        (node.error, node.exists, node.valid, node.inode, node.body_at) = (0, false, 0, 0, 0);
    }

    /// Notes a file that was found on the disk.
    ///
    /// # Errors
    /// [`Full`], which has set the watermark.
    pub(super) fn found(&mut self, key: Key, blocks: u64, expire: i64) -> Result<(), Full> {
        let id = match self.by_key.get(&key) {
            Some(id) => {
                let id = *id;
                self.touch(id);
                id
            }
            None => {
                let id = self.insert(key)?;
                let node = self.node_mut(id);
                (node.uses, node.exists, node.blocks) = (1, true, blocks);
                self.blocks += blocks;
                id
            }
        };
        self.node_mut(id).expire = expire;
        Ok(())
    }

    /// Notes what the file of a node takes now.
    pub(super) fn set_blocks(&mut self, id: NodeId, blocks: u64) {
        let before = std::mem::replace(&mut self.node_mut(id).blocks, blocks);
        self.blocks = (self.blocks + blocks).saturating_sub(before);
    }

    /// Forgets a node that nobody holds.
    pub(super) fn remove(&mut self, id: NodeId) {
        self.unlink(id);
        let key = self.node(id).key;
        self.by_key.remove(&key);
        self.nodes[id as usize] = Node::default();
        self.free.push(id);
    }

    /// Makes a node the one that was asked for last.
    pub(super) fn touch(&mut self, id: NodeId) {
        if self.newest != id {
            self.unlink(id);
            self.link(id);
        }
    }

    fn insert(&mut self, key: Key) -> Result<NodeId, Full> {
        if self.len() >= self.capacity {
            self.watermark = self.len() - self.len() / 8;
            return Err(Full);
        }
        let node = Node { key, ..Node::default() };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                NodeId::try_from(self.nodes.len() - 1).expect("a zone of memory has fewer keys than 32 bits count")
            }
        };
        self.by_key.insert(key, id);
        self.link(id);
        Ok(id)
    }

    fn link(&mut self, id: NodeId) {
        let before = std::mem::replace(&mut self.newest, id);
        let node = self.node_mut(id);
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = id,
            before => self.node_mut(before).newer = id,
        }
    }

    fn unlink(&mut self, id: NodeId) {
        let (newer, older) = (self.node(id).newer, self.node(id).older);
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
    }
}

/// How many keys nginx has room for in a zone of this size: it hands memory out in pages of 4096 bytes, 32 keys in
/// each, and needs one of them and a piece for itself.
fn capacity(size: usize) -> usize {
    const PAGE: usize = 4096;
    let pages = size.saturating_sub(704) / (PAGE + 24);
    (pages.saturating_sub(1) * 32).saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: Uses = Uses { least: 1, now: 1000, inactive: 10 };

    fn key(number: u8) -> Key {
        Key([number; 16])
    }

    fn ask(index: &mut Index, number: u8) -> (NodeId, Known) {
        index.ask(key(number), None, USES).unwrap()
    }

    #[test]
    fn counts_keys_as_nginx_does() {
        assert_eq!(capacity(1 << 20), 8095);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut index = Index::new(1 << 20);
        let first = ask(&mut index, 1).0;
        let second = ask(&mut index, 2).0;
        assert_eq!(index.oldest(), Some(first));
        ask(&mut index, 1);
        assert_eq!(index.oldest(), Some(second));
        index.remove(second);
        assert_eq!((index.oldest(), index.len()), (Some(first), 1));
        index.remove(first);
        assert_eq!((index.oldest(), index.len()), (None, 0));
        assert_eq!(ask(&mut index, 3), (first, Known::New));
    }

    #[test]
    fn counts_uses_and_keeps_errors_for_their_time() {
        let mut index = Index::new(1 << 20);
        let often = Uses { least: 2, ..USES };
        let (id, known) = index.ask(key(1), None, often).unwrap();
        assert_eq!(known, Known::New);
        let kept = Known::Kept { exists: false, body_at: 0 };
        assert_eq!(index.ask(key(1), Some(id), often), Ok((id, Known::Scarce)));
        assert_eq!(index.ask(key(1), None, often), Ok((id, kept)));
        (index.node_mut(id).error, index.node_mut(id).valid) = (502, 1000);
        assert_eq!(ask(&mut index, 1).1, Known::Error(502));
        assert_eq!(index.ask(key(1), None, Uses { now: 1001, ..USES }), Ok((id, Known::New)));
        assert_eq!(index.node(id).holders, 4);
    }

    #[test]
    fn is_full_at_its_capacity() {
        let mut index = Index::new(1 << 20);
        index.capacity = 8;
        (0..8).for_each(|number| assert_eq!(ask(&mut index, number).1, Known::New));
        assert_eq!(index.ask(key(8), None, USES), Err(Full));
        assert_eq!(index.watermark, 7);
        assert_eq!(index.found(key(9), 1, 0), Err(Full));
        assert_eq!(index.found(key(1), 1, 0), Ok(()));
    }

    #[test]
    fn knows_what_files_take() {
        let mut index = Index::new(1 << 20);
        index.found(key(1), 3, 0).unwrap();
        let (id, known) = ask(&mut index, 1);
        assert_eq!((known, index.blocks), (Known::Kept { exists: true, body_at: 0 }, 3));
        index.set_blocks(id, 1);
        assert_eq!(index.blocks, 1);
    }
}
