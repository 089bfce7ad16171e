#!/bin/sh
# Process 1 of the machine that `cargo xtask vm-test` starts. It prepares what any Linux has, runs the suites of /plan one
# after the other and says on the console how each ended, in lines that begin with `== `.
export PATH=/usr/bin:/usr/sbin HOME=/root

# The first root can't be left by pivot_root. Moved over itself it can: then it is a mount upon another.
if [ "$1" != again ]; then
    mount -n --bind / /again && cd /again && mount -n --move . / && exec chroot . /init again
    echo "== failed: the root could not be moved"
    exec sleep 1000000
fi
cd /
umask 022
# As much as a service manager allows.
ulimit -n 65536
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
/busybox insmod /brd.ko rd_nr=1 rd_size=262144
mkfs.ext4 -q -O ^has_journal /dev/ram0
mount /dev/ram0 /tmp
chmod 1777 /tmp /var/tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
# The kernel ticks every 4 ms, which is more than 1 % of a fifteenth of 5 s. With this, who has had its part is taken off the
# CPU at that moment, and not at the next tick.
echo HRTICK > /sys/kernel/debug/sched/features
ip link set lo up
hostname vm
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done

now() {
    read -r seconds rest < /proc/uptime
    echo "$seconds"
}

echo "== kernel $(uname -r)"
echo "== controllers $(cat /sys/fs/cgroup/cgroup.subtree_control)"
echo "== booted $(now)"
# A line is a name, the group to run in, and a command.
while read -r name group command; do
    echo "== begin $name $(now)"
    mkdir -p "/sys/fs/cgroup$group"
    # Shellwords are split as they stand: no argument has a space.
    (echo 0 > "/sys/fs/cgroup$group/cgroup.procs" && exec $command) < /dev/null 2>&1
    echo "== ended $name $? $(now)"
done < /plan
echo "== done $(now)"
echo b > /proc/sysrq-trigger
