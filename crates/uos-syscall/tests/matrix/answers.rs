//! What somebody is told, and what the same would be told of another number.

use uos_proto::v1::call::Call;
use uos_syscall::{Caller, Cause, Errno, Error};

use crate::{
    common::{World, within},
    fields::Field,
};

/// Ids are given from small numbers upwards; this one is never reached.
pub(crate) const NEVER: u64 = (1 << 52) + 12_345;

/// The answer to a call on an id, which must be a refusal.
pub(crate) async fn refusal(world: &World, caller: &Caller, field: &Field, sample: &Call, id: u64) -> Error {
    match within(world.kernel.invoke(caller, field.set_number(sample, id))).await {
        Err(error) => error,
        Ok(reply) => panic!("{} {id} was answered {reply:?}", field.name()),
    }
}

/// What is said of [`NEVER`], said of another number.
pub(crate) fn of(absent: &Error, id: u64) -> Error {
    without(absent.clone(), &NEVER.to_string(), &id.to_string())
}

/// The error with a word of its sentences put for another.
pub(crate) fn without(error: Error, word: &str, by: &str) -> Error {
    let replaced = |text: &str| replace_word(text, word, by);
    Error {
        errno: error.errno,
        message: replaced(&error.message).into(),
        cause: error.cause.map(|cause| {
            Box::new(match *cause {
                Cause::Right(right) => Cause::Right(replaced(&right)),
                Cause::Stage(stage) => Cause::Stage(replaced(&stage)),
                other => other,
            })
        }),
        hint: replaced(&error.hint).into(),
    }
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_part = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let alone = !is_part(before.chars().last()) && !is_part(after.chars().next());
        out.push_str(before);
        out.push_str(if alone { by } else { word });
        rest = after;
    }
    out + rest
}

/// Whether it refuses for want of a right.
pub(crate) fn is_denial(error: &Error) -> bool {
    error.errno == Errno::EACCES && matches!(error.cause.as_deref(), Some(Cause::Right(_)))
}

#[test]
fn only_whole_words_are_put_for_others() {
    assert_eq!(replace_word("pid 12 of 123, 12", "12", "#"), "pid # of 123, #");
    assert_eq!(replace_word("/a/qfile/x", "qfile", "qnone"), "/a/qnone/x");
}
