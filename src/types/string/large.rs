//! A string too large for one allocation to be copied at a write: a rope with a birth.

use crate::collections::rope::Rope;
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};

/// A rope as a copy-on-write value. The pieces have counts of their own, so a fork shares them and a write copies at
/// most the pieces it touches.
pub struct LargeString {
    birth: Epoch,
    rope: Rope,
}

impl LargeString {
    pub fn new(birth: Epoch, rope: Rope) -> Self {
        LargeString { birth, rope }
    }

    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    pub fn rope_mut(&mut self) -> &mut Rope {
        &mut self.rope
    }

    pub fn duplicate(&self, birth: Epoch) -> Self {
        LargeString { birth, rope: self.rope.clone() }
    }
}

impl CowValue for LargeString {
    fn birth(&self) -> Epoch {
        self.birth
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        self.duplicate(heap.epoch())
    }

    fn destroy_some(&mut self, budget: &mut usize, _proof: &Unshared) -> bool {
        self.rope.shed(budget)
    }

    fn free_effort(&self) -> usize {
        self.rope.free_effort()
    }

    fn elements(&self) -> usize {
        self.rope.pieces_len()
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        self.rope.defrag(defrag, &mut progress.at)
    }

    /// Without the pieces: they are charged to whoever has the string (`db/charge.rs`), and others may have them too.
    fn memory(&self) -> usize {
        self.rope.memory()
    }
}
