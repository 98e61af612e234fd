//! All paths into a value as one tree, so that a record is walked once.
//!
//! Each different path has a slot, which holds what it finds. The slots of elements of `each` come after those of the
//! record.

use super::path::{Path, Root, Step};

/// The place of what one path finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u16);

/// A node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u16);

/// The paths of one mapping.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    pub(super) value: NodeId,
    pub(super) key: NodeId,
    pub(super) element: NodeId,
    /// Slots that are not filled from a value or a key.
    pub(super) others: Vec<(Root, Slot)>,
    /// The path of each slot; that of a key of a list is its name.
    paths: Vec<Path>,
    /// Slots from here on are of elements.
    pub(super) record_slots: usize,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Whoever wants the value here.
    pub(super) slot: Option<Slot>,
    /// Is a list wanted here, for `contains`?
    pub(super) is_list_wanted: bool,
    pub(super) names: Vec<(Box<str>, NodeId)>,
    pub(super) places: Vec<(u64, NodeId)>,
    pub(super) keyed: Vec<Keyed>,
    /// The elements here are those of `each`.
    pub(super) is_each: bool,
}

/// Elements of a list by what one of their members is.
#[derive(Debug)]
pub(super) struct Keyed {
    /// The tree of the member's name alone, and its slot.
    pub(super) by: NodeId,
    pub(super) slot: Slot,
    pub(super) choices: Vec<(Box<str>, NodeId)>,
}

/// A path that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'p> {
    pub(super) path: &'p Path,
    /// Is it asked what it `contains`?
    pub(super) use_: Use,
}

/// What is done with what a path finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Value,
    Contains,
}

impl Node {
    /// Is anything wanted of the elements of a list?
    pub(super) fn has_elements(&self) -> bool {
        self.is_each || self.is_list_wanted || !self.places.is_empty() || !self.keyed.is_empty()
    }
}

impl Tree {
    /// The tree of these paths, and `each`.
    pub(super) fn new<'p>(wanted: &[Wanted<'p>], each: Option<&'p Path>) -> Self {
        let nodes = vec![Node::default(), Node::default(), Node::default()];
        let (value, key, element) = (NodeId(0), NodeId(1), NodeId(2));
        let mut tree = Self { nodes, value, key, element, others: Vec::new(), paths: Vec::new(), record_slots: 0 };
        if let Some(each) = each {
            let node = tree.node(tree.value, each);
            tree.at(node).is_each = true;
        }
        let (of_elements, of_record): (Vec<&Wanted<'_>>, _) =
            wanted.iter().partition(|wanted| wanted.path.is_of_an_element());
        of_record.iter().for_each(|wanted| tree.add(**wanted));
        tree.record_slots = tree.paths.len();
        of_elements.iter().for_each(|wanted| tree.add(**wanted));
        tree
    }

    pub(super) fn get(&self, node: NodeId) -> &Node {
        &self.nodes[usize::from(node.0)]
    }

    /// The number of all slots.
    pub(super) fn slots(&self) -> usize {
        self.paths.len()
    }

    pub(super) fn path(&self, slot: Slot) -> &Path {
        &self.paths[usize::from(slot.0)]
    }

    /// The slot of a path that was wanted.
    pub(super) fn slot(&self, path: &Path) -> Slot {
        let is_same = |known: &&(usize, &Path)| known.1.root == path.root && known.1.steps == path.steps;
        let paths: Vec<(usize, &Path)> = self.paths.iter().enumerate().collect();
        // The keys of lists have paths of no steps, in a root that no other path has.
        let found = paths.iter().find(is_same).map(|(at, _)| *at);
        Slot(found.and_then(|at| u16::try_from(at).ok()).expect("every path of the mapping was wanted"))
    }

    /// The slots at and below a node, those of keys of lists not.
    pub(super) fn below(&self, node: NodeId) -> Vec<Slot> {
        let node = self.get(node);
        let mut slots: Vec<Slot> = node.slot.into_iter().collect();
        for child in node.children() {
            slots.extend(self.below(child));
        }
        slots
    }

    /// Does `each` lie at or below a node?
    pub(super) fn has_each(&self, node: NodeId) -> bool {
        let node = self.get(node);
        node.is_each || node.children().any(|child| self.has_each(child))
    }

    fn at(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[usize::from(node.0)]
    }

    fn grow(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        NodeId(u16::try_from(self.nodes.len() - 1).expect("the number of paths and their steps is limited"))
    }

    fn new_slot(&mut self, path: Path) -> Slot {
        self.paths.push(path);
        Slot(u16::try_from(self.paths.len() - 1).expect("the number of paths and their steps is limited"))
    }

    fn add(&mut self, wanted: Wanted<'_>) {
        let from = match &wanted.path.root {
            Root::Value => self.value,
            Root::Key => self.key,
            Root::Each => self.element,
            other => {
                if !self.others.iter().any(|(known, _)| known == other) {
                    let slot = self.new_slot(wanted.path.clone());
                    self.others.push((other.clone(), slot));
                }
                return;
            }
        };
        let node = self.node(from, wanted.path);
        if self.get(node).slot.is_none() {
            let slot = self.new_slot(wanted.path.clone());
            self.at(node).slot = Some(slot);
        }
        self.at(node).is_list_wanted |= wanted.use_ == Use::Contains;
    }

    /// The node of a path, which is made where there is none.
    fn node(&mut self, from: NodeId, path: &Path) -> NodeId {
        path.steps.iter().fold(from, |node, step| match step {
            Step::Name(name) => self.named(node, name),
            Step::Place(place) => {
                let place = u64::from(*place);
                if let Some((_, known)) = self.get(node).places.iter().find(|(known, _)| *known == place) {
                    return *known;
                }
                let child = self.grow();
                self.at(node).places.push((place, child));
                child
            }
            Step::Keyed { by, is } => self.keyed(node, by, is, path),
        })
    }

    fn named(&mut self, node: NodeId, name: &str) -> NodeId {
        if let Some((_, known)) = self.get(node).names.iter().find(|(known, _)| **known == *name) {
            return *known;
        }
        let child = self.grow();
        self.at(node).names.push((name.into(), child));
        child
    }

    fn keyed(&mut self, node: NodeId, by: &str, is: &str, path: &Path) -> NodeId {
        let is_by = |keyed: &Keyed| self.get(keyed.by).names.iter().any(|(name, _)| **name == *by);
        let group = match self.get(node).keyed.iter().position(is_by) {
            Some(group) => group,
            None => {
                let root = self.grow();
                let leaf = self.named(root, by);
                let text = by.to_owned();
                // In a root of a record's, so that it is not taken for a path that is wanted.
                let slot = self.new_slot(Path {
                    text,
                    root: Root::Header(String::new()),
                    steps: Vec::new(),
                    range: path.range,
                });
                self.at(leaf).slot = Some(slot);
                self.at(node).keyed.push(Keyed { by: root, slot, choices: Vec::new() });
                self.get(node).keyed.len() - 1
            }
        };
        let choices = &self.get(node).keyed[group].choices;
        if let Some((_, known)) = choices.iter().find(|(known, _)| **known == *is) {
            return *known;
        }
        let child = self.grow();
        self.at(node).keyed[group].choices.push((is.into(), child));
        child
    }
}

impl Node {
    /// The nodes that continue a path.
    fn children(&self) -> impl Iterator<Item = NodeId> {
        let names = self.names.iter().map(|(_, child)| *child);
        let places = self.places.iter().map(|(_, child)| *child);
        let keyed = self.keyed.iter().flat_map(|keyed| keyed.choices.iter().map(|(_, child)| *child));
        names.chain(places).chain(keyed)
    }
}

/// Which of at most 256 were seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen([u64; 4]);

impl Seen {
    /// The most that are told apart.
    pub(super) const MAX: usize = 256;

    /// Is this the first time?
    pub(super) fn first(&mut self, index: usize) -> bool {
        let (word, bit) = (&mut self.0[index / 64], 1 << (index % 64));
        let is_first = *word & bit == 0;
        *word |= bit;
        is_first
    }
}
