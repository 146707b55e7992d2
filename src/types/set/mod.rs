//! The type `set`.

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::place::Maker;
use super::value::{Stored, Vetting};
use crate::cow::{CowValue, Epoch, Heap, Unshared};
use crate::dict::Payload;
use crate::rdb::{RdbError, RdbReader, RdbWriter, TypeOpcode};
use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;

/// The large form.
pub enum SetObject {}

impl SetObject {
    /// An independent value with the same contents.
    pub fn duplicate(&self, _heap: &Heap) -> Self {
        match *self {}
    }
}

impl CowValue for SetObject {
    fn birth(&self) -> Epoch {
        match *self {}
    }

    fn origin(&self) -> Epoch {
        match *self {}
    }

    fn fork(&self, _heap: &mut Heap) -> Self {
        match *self {}
    }

    fn drop_shell(self) {
        match self {}
    }

    fn destroy_some(&mut self, _budget: &mut usize, _proof: &Unshared) -> bool {
        match *self {}
    }

    fn destroy(self, _proof: &Unshared) {
        match self {}
    }

    fn free_effort(&self) -> usize {
        match *self {}
    }

    fn memory(&self) -> usize {
        match *self {}
    }
}

/// A value to be read, in any encoding.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> SetRef<'a> {
    /// The value that an entry stores in this encoding.
    pub fn of(_encoding: Encoding, _stored: Stored<'a>) -> Self {
        unreachable!("no command makes one")
    }

    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, _version: u32) -> TypeOpcode {
        match self.0 {}
    }

    /// Writes the value, without its opcode.
    pub fn save(self, _out: &mut RdbWriter<'_>) -> io::Result<()> {
        match self.0 {}
    }
}

impl DataType for SetRef<'_> {
    const NAME: TypeName = TypeName::Set;

    fn encoding(&self) -> Encoding {
        match self.0 {}
    }

    fn len(&self) -> usize {
        match self.0 {}
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self.0 {}
    }

    fn free_effort(&self) -> usize {
        match self.0 {}
    }

    fn digest(&self, _into: &mut Digest) {
        match self.0 {}
    }
}

/// A value that is not stored yet.
#[derive(Debug)]
pub struct NewSet(Infallible);

impl NewSet {
    /// Reads a value laid out as `kind`; None if that is not a layout of sets.
    pub fn load(
        _kind: TypeOpcode,
        _from: &mut RdbReader<'_>,
        _vetting: Vetting,
        _maker: &mut Maker<'_>,
    ) -> Result<Option<NewSet>, RdbError> {
        Ok(None)
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, _store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self.0 {}
    }
}
