//! Stands in for a bucket in a program without the feature `remote`.

use std::io;

use tfevents::follow::{ListError, Place};

use tfevents::tail::{FileId, Listed};

/// Everything below a prefix of a bucket; there is none here.
#[derive(Debug)]
pub enum Bucket {}

impl Bucket {
    /// No bucket can be opened.
    ///
    /// # Errors
    /// Always: the program was built without object stores.
    pub fn open(address: &str, _environment: impl Iterator<Item = (String, String)>) -> io::Result<Self> {
        let message =
            format!("{address}: this hptune was built without object stores (the feature `remote`)");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// The content of the one object that the address names.
    ///
    /// # Errors
    /// There is no bucket.
    pub fn fetch(&self) -> io::Result<Vec<u8>> {
        match *self {}
    }
}

impl Place for Bucket {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        match *self {}
    }

    fn look(&mut self, _path: &str) -> io::Result<Option<Listed>> {
        match *self {}
    }

    fn read(&mut self, _path: &str, _id: FileId, _offset: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}
