//! What the paths find in one record.

use super::field::Field;
use super::path::ELEMENTS_MAX;
use super::tree::{NodeId, Slot, Tree};

/// What the paths find in one record, and in each element of its list.
#[derive(Debug)]
pub(super) struct Slots<'a> {
    record: Vec<Field<'a>>,
    /// Row after row, one for each element.
    elements: Vec<Field<'a>>,
    width: usize,
    count: usize,
    list: List,
}

/// What `each` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Missing,
    Elements,
    /// Something else than a list.
    SomethingElse,
    TooMany,
}

impl<'a> Slots<'a> {
    pub(super) fn new(tree: &Tree) -> Self {
        let record = std::iter::repeat_with(Field::default).take(tree.record_slots).collect();
        let width = tree.slots() - tree.record_slots;
        Self { record, elements: Vec::new(), width, count: 0, list: List::Missing }
    }

    pub(super) fn list(&self) -> List {
        self.list
    }

    /// The number of elements of `each`.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What a path finds, in an element if it is of one.
    pub(super) fn get(&self, slot: Slot, element: usize) -> &Field<'a> {
        let slot = usize::from(slot.0);
        match slot.checked_sub(self.record.len()) {
            None => &self.record[slot],
            Some(column) => &self.elements[element * self.width + column],
        }
    }

    /// Sets what a path finds, in the newest element if it is of one.
    pub(super) fn set(&mut self, slot: Slot, field: Field<'a>) {
        *self.now(slot) = field;
    }

    /// What a path found so far, in the newest element if it is of one.
    pub(super) fn now(&mut self, slot: Slot) -> &mut Field<'a> {
        let slot = usize::from(slot.0);
        match slot.checked_sub(self.record.len()) {
            None => &mut self.record[slot],
            Some(column) => {
                let start = self.elements.len() - self.width;
                &mut self.elements[start + column]
            }
        }
    }

    /// `each` is here, and no list.
    pub(super) fn no_list(&mut self) {
        self.list = List::SomethingElse;
    }

    /// `each` is here, and a list.
    pub(super) fn begin_list(&mut self) {
        self.list = List::Elements;
    }

    /// The next element; false: there are too many, and it is not looked at.
    pub(super) fn next_element(&mut self) -> bool {
        if self.count == ELEMENTS_MAX {
            self.list = List::TooMany;
            return false;
        }
        self.count += 1;
        self.elements.extend(std::iter::repeat_with(Field::default).take(self.width));
        true
    }

    /// Forgets what was found at and below a node, since a later member of the same name counts.
    pub(super) fn forget(&mut self, tree: &Tree, node: NodeId) {
        for slot in tree.below(node) {
            self.set(slot, Field::Missing);
        }
        if tree.has_each(node) {
            self.elements.clear();
            (self.count, self.list) = (0, List::Missing);
        }
    }
}
