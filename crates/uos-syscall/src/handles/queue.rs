//! A queue, as one process holds it.

use uos_ipc::{QueueControl, Receiver, Rights, Sender};

use super::object::Held;

/// The ends a process holds. Dropping it closes them.
pub(crate) struct QueueEnds {
    pub(crate) receiver: Option<Receiver>,
    pub(crate) sender: Option<Sender>,
    /// By which it is seen and destroyed; keeps neither end open.
    pub(crate) control: QueueControl,
}

impl Held for QueueEnds {
    fn share(&self, rights: Rights) -> Self {
        Self {
            receiver: self.receiver.clone().filter(|_| rights.contains(Rights::READ)),
            sender: self.sender.clone().filter(|_| rights.contains(Rights::WRITE)),
            control: self.control.clone(),
        }
    }

    fn narrow(&mut self, rights: Rights) -> Option<Self> {
        let receiver = self.receiver.take_if(|_| !rights.contains(Rights::READ));
        let sender = self.sender.take_if(|_| !rights.contains(Rights::WRITE));
        Some(Self { receiver, sender, control: self.control.clone() })
    }

    fn join(&mut self, more: Self) -> Option<Self> {
        let Self { receiver, sender, control } = more;
        let spare_receiver = if self.receiver.is_none() {
            self.receiver = receiver;
            None
        } else {
            receiver
        };
        let spare_sender = if self.sender.is_none() {
            self.sender = sender;
            None
        } else {
            sender
        };
        Some(Self { receiver: spare_receiver, sender: spare_sender, control })
    }
}
