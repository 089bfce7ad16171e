//! A pipe, as one process holds it.

use uos_ipc::{Control, Reader, Rights, Writer};

use super::object::Held;

/// The ends a process holds. Dropping it closes them.
pub(crate) struct PipeEnds {
    pub(crate) reader: Option<Reader>,
    pub(crate) writer: Option<Writer>,
    /// By which it is seen and destroyed; keeps neither end open.
    pub(crate) control: Control,
}

impl Held for PipeEnds {
    fn share(&self, rights: Rights) -> Self {
        Self {
            reader: self.reader.clone().filter(|_| rights.contains(Rights::READ)),
            writer: self.writer.clone().filter(|_| rights.contains(Rights::WRITE)),
            control: self.control.clone(),
        }
    }

    fn narrow(&mut self, rights: Rights) -> Option<Self> {
        let reader = self.reader.take_if(|_| !rights.contains(Rights::READ));
        let writer = self.writer.take_if(|_| !rights.contains(Rights::WRITE));
        Some(Self { reader, writer, control: self.control.clone() })
    }

    fn join(&mut self, more: Self) -> Option<Self> {
        let Self { reader, writer, control } = more;
        let spare_reader = if self.reader.is_none() {
            self.reader = reader;
            None
        } else {
            reader
        };
        let spare_writer = if self.writer.is_none() {
            self.writer = writer;
            None
        } else {
            writer
        };
        Some(Self { reader: spare_reader, writer: spare_writer, control })
    }
}
