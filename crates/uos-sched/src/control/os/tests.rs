//! What is written where, in trees of directories that stand for the kernel's.

use super::*;
use crate::control::cgroup::tests::{read, v1, v2};
use crate::{Quota, Wanted, Weight};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that uses nothing.
struct Asleep(Child);

impl Asleep {
    fn start() -> Asleep {
        Asleep(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn weighing(weight: u32) -> GroupSpec {
    GroupSpec::default().weight(Weight::new(weight).unwrap())
}

fn within(group: GroupId, weight: u32) -> Wanted {
    Wanted { group, weight: Weight::new(weight).unwrap(), ..Wanted::default() }
}

fn percent(percent: u64) -> Quota {
    Quota::new(Nanos::from_millis(100), Nanos::from_millis(percent)).unwrap()
}

/// All files of a hierarchy below its root, by their paths in it.
fn files(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for one in fs::read_dir(path).unwrap() {
        let path = one.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => drop(all.insert(path.clone(), fs::read_to_string(&path).unwrap())),
        }
    }
    all
}

/// What is written while this is done, as file names in the order of their paths.
fn written<T>(path: &Path, done: impl FnOnce() -> T) -> (T, Vec<String>) {
    const UNTOUCHED: &str = "untouched";
    let before = files(path);
    before.keys().for_each(|file| fs::write(file, UNTOUCHED).unwrap());
    let answer = done();
    let mut names = Vec::new();
    for (file, text) in files(path) {
        // What is shorter than what was there leaves its end.
        if text != UNTOUCHED {
            names.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        } else {
            fs::write(&file, before.get(&file).map_or("", String::as_str)).unwrap();
        }
    }
    (answer, names)
}

#[test]
fn only_what_differs_is_written() {
    for (path, root) in [v1(), v2()] {
        let is_v1 = root.version == Version::V1;
        let name = |v1: &str, v2: &str| if is_v1 { v1 } else { v2 }.to_owned();
        let (weight, burst) = (name("cpu.shares", "cpu.weight"), name("cpu.cfs_burst_us", "cpu.max.burst"));
        let mut control = OsControl::with(Some(root));
        let asleep = Asleep::start();
        let outer = control.create_group(GroupId::ROOT, weighing(2048)).unwrap();
        let inner = control.create_group(outer, weighing(512).quota(percent(50))).unwrap();
        control.adopt(asleep.pid(), &within(inner, 1024)).unwrap();

        let mut change =
            |done: &mut dyn FnMut(&mut OsControl) -> usize| written(&path, || done(&mut control));
        let (changed, files) = change(&mut |control| control.set_group(outer, weighing(2048)).unwrap());
        assert_eq!((changed, files), (0, vec![]));
        let (changed, files) = change(&mut |control| control.set_group(outer, weighing(1024)).unwrap());
        assert_eq!((changed, files), (1, vec![weight.clone()]));
        let (changed, files) =
            change(&mut |control| control.apply(asleep.pid(), &within(inner, 1024)).unwrap());
        assert_eq!((changed, files), (0, vec![]));
        let (changed, files) =
            change(&mut |control| control.apply(asleep.pid(), &within(inner, 4096)).unwrap());
        assert_eq!((changed, files), (1, vec![weight]));

        // Of the quotas inside only that which can't be kept beside it, and that only where it is refused.
        let own = if is_v1 {
            vec![burst.clone(), "cpu.cfs_period_us".to_owned(), "cpu.cfs_quota_us".to_owned()]
        } else {
            vec!["cpu.max".to_owned(), burst.clone()]
        };
        let (_, files) =
            change(&mut |control| control.set_group(outer, weighing(1024).quota(percent(80))).unwrap());
        assert_eq!(files, own);
        let (_, files) =
            change(&mut |control| control.set_group(outer, weighing(1024).quota(percent(20))).unwrap());
        let yielded = if is_v1 { vec![burst, "cpu.cfs_quota_us".to_owned()] } else { vec![] };
        assert_eq!(files.len(), own.len() + yielded.len(), "{files:?}");
        let (_, files) = change(&mut |control| control.set_group(outer, weighing(1024)).unwrap());
        assert!(!files.contains(&"cgroup.procs".to_owned()) && files.len() >= own.len() - 1, "{files:?}");
        drop(control);
        assert_eq!(read(&path, "cgroup.procs"), asleep.pid().to_string(), "it is where it was");
        assert!(fs::read_dir(&path).unwrap().all(|one| !one.unwrap().path().is_dir()), "nothing is left");
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn a_move_that_is_refused_leaves_all_where_it_was() {
    for (path, root) in [v1(), v2()] {
        let mut control = OsControl::with(Some(root));
        let asleep = Asleep::start();
        let outer = control.create_group(GroupId::ROOT, weighing(2048)).unwrap();
        let inner = control.create_group(outer, weighing(512)).unwrap();
        let other = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
        control.adopt(asleep.pid(), &within(inner, 1024)).unwrap();
        let place = |control: &OsControl| control.path_of(asleep.pid()).unwrap();
        let before = place(&control);
        let names: Vec<_> = before.ancestors().skip(1).take(2).map(|it| it.file_name().unwrap()).collect();
        let other_path = control.tree.place(other, Weight::DEFAULT).parent.to_owned();
        // Somebody else has made something there, and the kernel makes nothing twice.
        let obstacle = other_path.join(names[1]);
        fs::create_dir(&obstacle).unwrap();
        let refused = control.move_group(outer, other);
        assert!(matches!(refused, Err(ControlError::System { .. })), "{refused:?}");
        fs::remove_dir(&obstacle).unwrap();
        assert_eq!(place(&control), before);
        assert_eq!(read(&before, "cgroup.procs"), asleep.pid().to_string());
        assert!(control.create_group(inner, weighing(1)).is_ok(), "the tree is as it was");

        control.move_group(outer, other).unwrap();
        let after = place(&control);
        assert_eq!(after, other_path.join(names[1]).join(names[0]).join(before.file_name().unwrap()));
        assert!(!before.exists() && !before.parent().unwrap().exists());
        assert!(matches!(control.move_group(other, inner), Err(ControlError::Refused(_))));
        assert_eq!(place(&control), after);
        drop(control);
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn a_quota_looser_than_those_around_it_is_in_force_again_when_they_are_not() {
    let (path, root) = v1();
    let mut control = OsControl::with(Some(root));
    let asleep = Asleep::start();
    let outer = control.create_group(GroupId::ROOT, weighing(1024).quota(percent(20))).unwrap();
    let inner = control.create_group(outer, weighing(1024).quota(percent(50))).unwrap();
    let own = Wanted { quota: Some(percent(30)), ..within(inner, 1024) };
    control.adopt(asleep.pid(), &own).unwrap();
    // As they were told: a file keeps the end of what was longer.
    let quotas = |control: &OsControl| {
        let own = control.adopted[&asleep.pid()].member.as_ref().and_then(|member| member.dir.quota());
        [control.tree.told(outer), control.tree.told(inner), own]
    };
    assert_eq!(quotas(&control), [Some(percent(20)), None, None]);
    control.set_group(outer, weighing(1024).quota(percent(40))).unwrap();
    assert_eq!(quotas(&control), [Some(percent(40)), None, Some(percent(30))]);
    control.set_group(outer, weighing(1024)).unwrap();
    assert_eq!(quotas(&control), [None, Some(percent(50)), Some(percent(30))]);
    control.set_group(inner, weighing(1024).quota(percent(10))).unwrap();
    assert_eq!(quotas(&control), [None, Some(percent(10)), None]);
    let free = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    control.apply(asleep.pid(), &Wanted { group: free, ..own }).unwrap();
    assert_eq!(quotas(&control)[2], Some(percent(30)), "elsewhere it counts again");
    drop(control);
    fs::remove_dir_all(path).unwrap();
}

#[test]
fn the_number_of_one_that_has_ended_is_moved_nowhere() {
    for (path, root) in [v1(), v2()] {
        let mut control = OsControl::with(Some(root));
        let asleep = Asleep::start();
        let pid = asleep.pid();
        let group = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
        let other = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
        control.adopt(pid, &within(group, 1024)).unwrap();
        drop(asleep);
        let own = control.path_of(pid).unwrap();
        [&own, &path].iter().for_each(|at| fs::write(at.join("cgroup.procs"), "").unwrap());
        let is_somewhere = || files(&path).values().any(|text| *text == pid.to_string());
        control.move_group(group, other).unwrap();
        assert!(!is_somewhere(), "its number may be another's by now");
        assert!(matches!(control.used(pid), Err(ControlError::Gone { .. })), "it is told once");
        drop(control);
        assert!(!is_somewhere());
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn children_of_one_that_has_ended_go_where_it_was_before() {
    for (path, root) in [v1(), v2()] {
        let mut control = OsControl::with(Some(root));
        let asleep = Asleep::start();
        let pid = asleep.pid();
        let group = control.create_group(GroupId::ROOT, weighing(1024).quota(percent(50))).unwrap();
        control.adopt(pid, &within(group, 1024)).unwrap();
        let home = path.join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("cgroup.procs"), "").unwrap();
        control.adopted.get_mut(&pid).unwrap().member.as_mut().unwrap().before = home.clone();
        drop(asleep);
        fs::write(path.join("cgroup.procs"), "").unwrap();
        fs::write(control.path_of(pid).unwrap().join("cgroup.procs"), "77").unwrap();
        control.destroy_group(group).unwrap();
        assert_eq!((read(&home, "cgroup.procs"), read(&path, "cgroup.procs")), ("77".into(), String::new()));
        drop(control);
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn who_was_in_the_group_of_one_let_go_goes_where_that_one_went() {
    for (by_drop, (path, root)) in [(false, v1()), (true, v1()), (false, v2()), (true, v2())] {
        let mut control = OsControl::with(Some(root));
        let home = path.join("home");
        fs::create_dir(&home).unwrap();
        let all = [Asleep::start(), Asleep::start()];
        let [parent, child] = [all[0].pid(), all[1].pid()];
        for pid in [parent, child] {
            control.adopt(pid, &within(GroupId::ROOT, 1024)).unwrap();
            let before = control.path_of(parent).filter(|_| pid == child);
            let member = control.adopted.get_mut(&pid).unwrap().member.as_mut().unwrap();
            member.before = before.unwrap_or_else(|| home.clone());
        }
        [&home, &path].iter().for_each(|at| fs::write(at.join("cgroup.procs"), "").unwrap());
        if !by_drop {
            control.release(parent).unwrap();
            assert_eq!(read(&home, "cgroup.procs"), parent.to_string());
        }
        drop(control);
        assert_eq!(
            (read(&home, "cgroup.procs"), read(&path, "cgroup.procs")),
            (child.to_string(), String::new())
        );
        fs::remove_dir_all(path).unwrap();
    }
}
