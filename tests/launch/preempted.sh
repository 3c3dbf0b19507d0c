#!/usr/bin/env bash
# A Slurm of one node in FOLDER, a job in it, and another that takes its place for a while.
#
#   unshare --pid --fork --mount-proc --kill-child tests/launch/preempted.sh FOLDER JOB PARTS [cancel]
#
# In a namespace of processes of its own: `ray stop`, by which `ray symmetric-run` ends, ends every
# Ray that it sees, and all that was started here ends with this script. JOB is submitted; once PARTS
# matches a file it is preempted; or cancelled, by its user.
set -euo pipefail
folder=$1 job=$2 parts=$3
export SLURM_CONF=$folder/slurm.conf

mkdir -p "$folder/state" "$folder/spool"
(umask 077 && head -c 64 /dev/urandom >"$folder/munge.key")
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
slurmctld
slurmd
until [[ $(sinfo --noheader --partition=low --format=%t 2>/dev/null) == idle ]]; do sleep 0.2; done

number=$(sbatch --parsable --output="$folder/job.log" "$job")
state() { squeue --noheader --jobs="$number" --format=%T 2>/dev/null || true; }
until compgen -G "$parts" >/dev/null || [[ -z $(state) ]]; do sleep 0.1; done
if [[ ${4:-} == cancel ]]; then
    scancel "$number"
    while [[ -n $(state) ]]; do sleep 0.2; done
    sleep 2
    scontrol show job "$number" >"$folder/job"
    exit
fi
# It needs the whole node, so the first one has to go.
sbatch --partition=high --exclusive --output=/dev/null --wrap='sleep 1' >"$folder/other"
# Slurm lets what is requeued wait for two minutes; here it need not.
until [[ $(state) == PENDING || -z $(state) ]]; do sleep 0.2; done
scontrol update "JobId=$number" StartTime=now || true
while [[ -n $(state) && $(state) != COMPLETING ]]; do sleep 0.2; done
scontrol show job "$number" >"$folder/job"
