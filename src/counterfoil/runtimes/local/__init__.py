"""One process on one machine: journal, decision log, snapshots and replay. A normal stop and a crash are one path."""
