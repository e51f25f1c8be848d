#!/usr/bin/env bash
# Stop what up.sh DIR started, by its pid files alone.
for file in "$1"/run/{slurmd,slurmctld,munged}.pid; do
  [ -s "$file" ] && kill "$(cat "$file")" 2>/dev/null
done
rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
exit 0
