//! Services: named bundles of rights that an app may ask for. This is the one table of them.

use serde::Serialize;
use utoipa::ToSchema;

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Service {
    /// What a manifest calls it.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub description: &'static str,
    /// What it gives. `{own}` stands for the app's own folder, `/home/apps/ID`.
    pub grants: &'static [&'static str],
}

/// All services.
pub(crate) const SERVICES: &[Service] = &[
    Service {
        name: "files",
        description: "Read and write the app's own folder.",
        grants: &["fs.read:{own}/**", "fs.write:{own}/**"],
    },
    Service { name: "ipc", description: "Make pipes, queues and shared memory.", grants: &["ipc.create"] },
    Service { name: "processes", description: "See what runs.", grants: &["proc.inspect"] },
    Service {
        name: "process_control",
        description: "See, signal and steer what runs.",
        grants: &["proc.inspect", "proc.signal", "proc.control"],
    },
    Service {
        name: "scheduler",
        description: "See how the processor is shared.",
        grants: &["sched.inspect"],
    },
    Service { name: "system", description: "Learn about the machine.", grants: &["sys.info"] },
];

/// The service of a name.
pub(crate) fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// What a list of services gives to an app.
pub(crate) fn grants_of(manifest_id: &str, services: &[String]) -> Vec<String> {
    let own = own_folder(manifest_id);
    let services = services.iter().filter_map(|name| service(name));
    services.flat_map(|service| service.grants).map(|grant| grant.replace("{own}", &own)).collect()
}

/// The folder that is an app's own.
pub(crate) fn own_folder(manifest_id: &str) -> String {
    format!("/home/apps/{manifest_id}")
}

#[cfg(test)]
mod tests {
    use uos_syscall::rights::Grant;

    use super::{SERVICES, grants_of};

    #[test]
    fn every_service_gives_rights_that_are_rights() {
        for service in SERVICES {
            for grant in grants_of("notes", &[service.name.to_owned()]) {
                Grant::parse(&grant).unwrap_or_else(|error| panic!("{}: {grant}: {error}", service.name));
            }
        }
        assert_eq!(grants_of("notes", &["files".into()])[0], "fs.read:/home/apps/notes/**");
    }
}
