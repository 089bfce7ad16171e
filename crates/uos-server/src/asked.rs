//! What a call asks for, in words and as JSON.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::Serialize;
use serde_json::Value;
use uos_syscall::RightRequest;
use utoipa::ToSchema;

/// The longest text within arguments that is shown whole. Payloads may have megabytes.
const SHOWN: usize = 4_096;
/// The longest arguments that are shown at all.
const ALL_SHOWN: usize = 64 << 10;

static CONTRACT: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(uos_proto::DESCRIPTOR).expect("the descriptors were compiled with this program")
});

/// A call that waits for a right.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// Names the request; never used again.
    pub(crate) id: u64,
    /// Who makes the call.
    pub(crate) pid: u64,
    /// Its name, for people.
    pub(crate) name: String,
    /// The call's name, such as `WriteFile`.
    pub(crate) call: &'static str,
    /// What it lacks, as a grant: `fs.write:/home/x`.
    pub(crate) right: String,
    /// The call's arguments, in the JSON of protobuf.
    #[schema(value_type = Object)]
    pub(crate) arguments: Value,
    /// Some of the arguments are longer than is shown, and end in `…`.
    pub(crate) abridged: bool,
}

impl From<&RightRequest> for Waiting {
    fn from(request: &RightRequest) -> Self {
        let mut arguments = arguments(request);
        let mut abridged = false;
        abridge(&mut arguments, &mut abridged);
        if arguments.to_string().len() > ALL_SHOWN {
            (arguments, abridged) = (Value::Object(serde_json::Map::new()), true);
        }
        Self {
            id: request.id,
            pid: request.pid.0,
            name: request.name.clone(),
            call: request.call.name,
            right: request.wanted.to_string(),
            arguments,
            abridged,
        }
    }
}

fn arguments(request: &RightRequest) -> Value {
    let names = [request.call.name.to_owned(), format!("{}Request", request.call.name)];
    let descriptor = names.iter().find_map(|name| CONTRACT.get_message_by_name(&format!("uos.v1.{name}")));
    let message =
        descriptor.and_then(|descriptor| DynamicMessage::decode(descriptor, request.arguments.clone()).ok());
    let options = SerializeOptions::new().stringify_64_bit_integers(false).use_proto_field_name(true);
    message
        .and_then(|message| message.serialize_with_options(serde_json::value::Serializer, &options).ok())
        .unwrap_or_default()
}

/// Cuts what is too long.
fn abridge(value: &mut Value, abridged: &mut bool) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(SHOWN) {
                text.truncate(end);
                text.push('…');
                *abridged = true;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| abridge(item, abridged)),
        Value::Object(fields) => fields.values_mut().for_each(|field| abridge(field, abridged)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
