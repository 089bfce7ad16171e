//! The answers that many routes share, for their description.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{Content, Ref, RefOr, Response},
};

type Answers = BTreeMap<String, RefOr<Response>>;

/// There is no such thing.
pub(super) struct Absent;
/// What is wrong with a body, from its bytes to its meaning.
pub(super) struct BadBody;
/// Why a change was not kept, and so not made.
pub(super) struct NotKept;
/// No process could be made.
pub(super) struct NoProcess;

impl IntoResponses for Absent {
    fn responses() -> Answers {
        errors(&[("404", "There is nothing of that id.")])
    }
}

impl IntoResponses for BadBody {
    fn responses() -> Answers {
        errors(&[
            ("400", "The body is not JSON."),
            ("413", "The body is longer than is taken."),
            ("422", "A value makes no sense; `error.detail.field` says which."),
        ])
    }
}

impl IntoResponses for NotKept {
    fn responses() -> Answers {
        errors(&[
            (
                "503",
                "The server is stopping, or the disk failed, and nothing was changed; with the code `storage_unknown` the \
                 disk failed so late that the change may come back after a crash.",
            ),
            ("507", "The disk is full; nothing was changed."),
        ])
    }
}

impl IntoResponses for NoProcess {
    fn responses() -> Answers {
        errors(&[("429", "As many processes as there may be are running.")])
    }
}

/// What the gate answers before any route is reached; with a token asked for, also that it is missing.
pub(super) fn of_the_gate(wants_token: bool) -> Answers {
    let mut answers = errors(&[
        (
            "403",
            "The request comes from a page of another origin, or with the token of a process that may not ask this.",
        ),
        ("421", "The request is for a host that is not this server."),
    ]);
    if wants_token {
        answers
            .extend(errors(&[("401", "There is no token or login with the request, or none that is good.")]));
    }
    answers
}

fn errors(answers: &[(&str, &str)]) -> Answers {
    let error = || Content::new(Some(Ref::from_schema_name("ErrorBody")));
    let answer =
        |text: &str| Response::builder().description(text).content("application/json", error()).build();
    answers.iter().map(|&(status, text)| (status.to_owned(), answer(text).into())).collect()
}
