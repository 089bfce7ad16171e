//! The environment of the caller.

use uos_proto::v1;

use crate::{
    Error,
    admit::{Absent, Cx},
    environment::Name,
    perform::Syscall,
    target::{Scope, System},
};

impl Syscall for v1::GetEnvironmentVar {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetEnvironmentVarReply, Error> {
        Ok(v1::GetEnvironmentVarReply { value: cx.caller().environment.get(Name::new(&self.name)?) })
    }
}

impl Syscall for v1::SetEnvironmentVar {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::SetEnvironmentVarReply, Error> {
        let previous = cx.caller().environment.set(Name::new(&self.name)?, &self.value)?;
        Ok(v1::SetEnvironmentVarReply { previous })
    }
}

impl Syscall for v1::UnsetEnvironmentVar {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::UnsetEnvironmentVarReply, Error> {
        Ok(v1::UnsetEnvironmentVarReply { previous: cx.caller().environment.unset(Name::new(&self.name)?) })
    }
}

impl Syscall for v1::ListEnvironment {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ListEnvironmentReply, Error> {
        let variable = |(name, value)| v1::EnvironmentVar { name, value };
        let variables = cx.caller().environment.all().into_iter().map(variable).collect();
        Ok(v1::ListEnvironmentReply { variables })
    }
}
