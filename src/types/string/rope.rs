use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A large string.
#[derive(Clone)]
pub struct Rope(Arc<Vec<u8>>);

impl Rope {
    pub fn from_vec(bytes: Vec<u8>) -> Rope {
        Rope(Arc::new(bytes))
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0[range]);
    }
    pub fn slices(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.0[range])
    }
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        std::iter::once(Bytes::copy_from_slice(&self.0[range]))
    }
    pub fn write_at(&mut self, at: usize, bytes: &[u8]) {
        Arc::make_mut(&mut self.0)[at..at + bytes.len()].copy_from_slice(bytes);
    }
    pub fn append(&mut self, bytes: &[u8]) {
        Arc::make_mut(&mut self.0).extend_from_slice(bytes);
    }
    pub fn resize_zero(&mut self, len: usize) {
        Arc::make_mut(&mut self.0).resize(len, 0);
    }
    pub fn memory(&self) -> usize {
        self.0.capacity()
    }
}
