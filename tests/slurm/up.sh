#!/usr/bin/env bash
# A one-machine Slurm on loopback, as root, without systemd or an accounting database:  up.sh DIR
# Its configuration has to lie in /etc/slurm: the job step plugin drops SLURM_CONF.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
host=$(hostname -s)
mkdir -p "$dir"/{state,spool,log,run} /etc/slurm

# a private munge, so that the machine's own is left alone
(umask 077; head -c 1024 /dev/urandom > "$dir/run/munge.key")
socket="$dir/run/munge.socket"
munged --force --socket="$socket" --key-file="$dir/run/munge.key" --pid-file="$dir/run/munged.pid" \
  --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed"

cat > "$dir/slurm.conf" <<CONF
ClusterName=toy
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
JobRequeue=0
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
GresTypes=gpu
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=8 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
# the gpu is a copy of /dev/null: a character device is scheduled for real and sets CUDA_VISIBLE_DEVICES
mknod "$dir/run/nvidia0" c 1 3
printf 'AutoDetect=off\nName=gpu File=%s\n' "$dir/run/nvidia0" > "$dir/gres.conf"
ln -sf "$dir/slurm.conf" "$dir/gres.conf" /etc/slurm/
slurmctld -c
slurmd -N "$host"
for _ in $(seq 100); do
  [ "$(sinfo -h -t idle -o %D 2>/dev/null || true)" = 1 ] && exit 0
  sleep 0.2
done
sinfo
exit 1
