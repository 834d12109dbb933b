# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# The bare disk, as a log uses it: blocks written in sequence, each durable when it is answered.

disk_check() { need fio fio; }

disk_settings() { echo "disk: $(fio --version), io_uring, direct, sync=dsync, overwriting"; }

# disk_blocks ROW BYTES DEPTH: an operation is a write.
disk_blocks() {
  fio --name=log --filename="$folder/fio" --size=1G --rw=write --bs="$2" --iodepth="$3" --ioengine=io_uring --direct=1 \
    --sync=dsync --overwrite=1 --time_based --runtime=3 --output-format=json > "$folder/fio.json"
  sed -n '/"write" : {/,/"trim" : {/p' "$folder/fio.json" > "$folder/fio.write"
  record "$1" ops "$(number iops < "$folder/fio.write" | head -1)"
  record "$1" disk "$2"
  # Completion latency, in ns.
  record "$1" p50 "$(number 50.000000 < "$folder/fio.write" | tail -1 | awk '{ print $1 / 1000 }')"
  record "$1" p99 "$(number 99.000000 < "$folder/fio.write" | tail -1 | awk '{ print $1 / 1000 }')"
}

disk_measure() {
  disk_blocks "disk, writes of 256 KiB, 4 in flight" 262144 4
  disk_blocks "disk, writes of 4 KiB, 1 in flight" 4096 1
  rm "$folder/fio"
}
