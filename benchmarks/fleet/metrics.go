package fleet

import "fmt"

// kind is the way in which the value of a series changes between scrapes.
type kind uint8

const (
	constant     kind = iota // never moves
	counter                  // whole numbers, about rate a second
	idleCounter              // whole numbers, moves at one scrape in twenty
	tickCounter              // seconds with two decimals, about rate a second
	floatSum                 // a sum of the durations of the last observations, rate long: all 52 bits move
	nanoSum                  // whole nanoseconds as seconds, about rate a second
	microSum                 // whole microseconds as seconds, about rate a second
	clock                    // the time of day
	pages                    // whole multiples of 4096 that walk around rate
	level                    // small whole numbers that walk around rate
	load                     // two decimals that walk around rate
	celsius                  // multiples of 1/4 that walk around rate
	duration                 // nanoseconds as seconds, fresh noise each time
	lastDuration             // the same, fresh at one scrape in eight
	observations             // whole number of events; sets the pace of the buckets after it
	bucket                   // cumulative histogram bucket: rate is its share of the events
)

// metric is one series of every target: its name, its labels besides the target's,
// and how its value changes.
type metric struct {
	name string
	own  []label // sorted by name
	kind kind
	rate float64
}

type label struct{ name, value string }

// label returns the value of one of the metric's own labels, "" without it.
func (m metric) label(name string) string {
	for _, l := range m.own {
		if l.name == name {
			return l.value
		}
	}
	return ""
}

// moving returns the kind of a series of a device: constant if the device is
// idle.
func moving(k kind, busy float64) kind {
	if busy == 0 {
		return constant
	}
	return k
}

// catalogue returns the series of one target: SeriesPerTarget of them.
func catalogue() []metric {
	var ms []metric
	add := func(k kind, rate float64, name string, own ...label) {
		ms = append(ms, metric{name: name, own: own, kind: k, rate: rate})
	}

	modes := []struct {
		name string
		rate float64
	}{{"idle", 0.83}, {"user", 0.1}, {"system", 0.04}, {"iowait", 0.01}, {"softirq", 0.004}, {"irq", 0}, {"nice", 0.0005}, {"steal", 0}}
	for cpu := range 4 {
		for _, m := range modes {
			add(tickCounter, m.rate, "node_cpu_seconds_total", label{"cpu", fmt.Sprint(cpu)}, label{"mode", m.name})
		}
		add(idleCounter, 1, "node_softnet_times_squeezed_total", label{"cpu", fmt.Sprint(cpu)})
		add(counter, 900, "node_softnet_processed_total", label{"cpu", fmt.Sprint(cpu)})
		for _, m := range []string{"nice", "user"} {
			add(constant, 0, "node_cpu_guest_seconds_total", label{"cpu", fmt.Sprint(cpu)}, label{"mode", m})
		}
	}

	for _, dev := range []struct {
		name string
		busy float64
	}{{"eth0", 1}, {"eth1", 0}, {"lo", 0.05}} {
		own := label{"device", dev.name}
		for _, dir := range []string{"receive", "transmit"} {
			add(moving(counter, dev.busy), 1.2e6*dev.busy, "node_network_"+dir+"_bytes_total", own)
			add(moving(counter, dev.busy), 1500*dev.busy, "node_network_"+dir+"_packets_total", own)
			for _, what := range []string{"errs", "drop", "fifo", "compressed"} {
				add(constant, 0, "node_network_"+dir+"_"+what+"_total", own)
			}
		}
		add(moving(idleCounter, dev.busy), 2, "node_network_receive_multicast_total", own)
		for _, what := range []string{
			"address_assign_type", "carrier_changes_total", "carrier_down_changes_total", "carrier_up_changes_total", "device_id",
			"flags", "iface_id", "iface_link", "iface_link_mode", "net_dev_group", "protocol_type", "transmit_queue_length",
		} {
			add(constant, 4, "node_network_"+what, own)
		}
		add(constant, 1500, "node_network_mtu_bytes", own)
		add(constant, 1, "node_network_up", own)
		add(constant, 1.25e8, "node_network_speed_bytes", own)
	}

	for _, dev := range []struct {
		name string
		busy float64
	}{{"nvme0n1", 1}, {"nvme1n1", 0}, {"sda", 0}} {
		own := label{"device", dev.name}
		for _, dir := range []string{"reads", "writes"} {
			add(moving(counter, dev.busy), 40*dev.busy, "node_disk_"+dir+"_completed_total", own)
			add(moving(counter, dev.busy), 3*dev.busy, "node_disk_"+dir+"_merged_total", own)
		}
		add(moving(counter, dev.busy), 512*900*dev.busy, "node_disk_read_bytes_total", own)
		add(moving(counter, dev.busy), 512*2500*dev.busy, "node_disk_written_bytes_total", own)
		add(moving(tickCounter, dev.busy), 0.02*dev.busy, "node_disk_read_time_seconds_total", own)
		add(moving(tickCounter, dev.busy), 0.05*dev.busy, "node_disk_write_time_seconds_total", own)
		add(moving(tickCounter, dev.busy), 0.04*dev.busy, "node_disk_io_time_seconds_total", own)
		add(moving(level, dev.busy), 1, "node_disk_io_now", own)
	}

	for i, mount := range []struct {
		path string
		busy float64
	}{{"/", 0.1}, {"/boot", 0}, {"/home", 0}, {"/var", 1}, {"/var/lib/containers", 0}, {"/run", 0}} {
		own := []label{{"device", fmt.Sprintf("/dev/nvme0n1p%d", i+1)}, {"fstype", "ext4"}, {"mountpoint", mount.path}}
		add(constant, 64<<30, "node_filesystem_size_bytes", own...)
		add(moving(pages, mount.busy), 20<<30, "node_filesystem_free_bytes", own...)
		add(moving(pages, mount.busy), 18<<30, "node_filesystem_avail_bytes", own...)
		add(constant, 4<<20, "node_filesystem_files", own...)
		add(moving(level, mount.busy), 3e6, "node_filesystem_files_free", own...)
		add(constant, 0, "node_filesystem_readonly", own...)
		add(constant, 0, "node_filesystem_device_error", own...)
	}

	for _, name := range []string{
		"Active", "Active_anon", "Active_file", "AnonPages", "Buffers", "Cached", "Committed_AS", "Dirty", "Inactive",
		"Inactive_anon", "Inactive_file", "KReclaimable", "KernelStack", "Mapped", "MemAvailable", "MemFree", "PageTables",
		"SReclaimable", "SUnreclaim", "Shmem", "Slab", "Writeback",
	} {
		add(pages, 2<<30, "node_memory_"+name+"_bytes")
	}
	for _, name := range []string{
		"AnonHugePages", "Bounce", "CommitLimit", "DirectMap1G", "DirectMap2M", "DirectMap4k", "HardwareCorrupted", "Hugepagesize",
		"MemTotal", "Mlocked", "NFS_Unstable", "SwapCached", "SwapFree", "SwapTotal", "Unevictable", "VmallocChunk", "VmallocTotal",
	} {
		add(constant, 1<<30, "node_memory_"+name+"_bytes")
	}

	for i, name := range []string{
		"Icmp_InMsgs", "Icmp_OutMsgs", "Ip_Forwarding", "IpExt_InOctets", "IpExt_OutOctets", "TcpExt_ListenDrops", "TcpExt_SyncookiesSent",
		"TcpExt_TCPSynRetrans", "TcpExt_TCPTimeouts", "Tcp_ActiveOpens", "Tcp_InErrs", "Tcp_InSegs", "Tcp_OutRsts", "Tcp_OutSegs",
		"Tcp_PassiveOpens", "Tcp_RetransSegs", "Udp_InDatagrams", "Udp_InErrors", "Udp_NoPorts", "Udp_OutDatagrams",
	} {
		switch i % 4 {
		case 0:
			add(counter, 2000, "node_netstat_"+name)
		case 1:
			add(counter, 3, "node_netstat_"+name)
		case 2:
			add(idleCounter, 1, "node_netstat_"+name)
		default:
			add(constant, 17, "node_netstat_"+name)
		}
	}
	for i, name := range []string{"oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout"} {
		add([]kind{constant, counter, counter, counter, counter, constant, constant}[i], 5000, "node_vmstat_"+name)
	}
	for _, name := range []string{"TCP_alloc", "TCP_inuse", "TCP_mem", "TCP_orphan", "TCP_tw", "UDP_inuse", "UDP_mem", "sockets_used", "FRAG_inuse", "RAW_inuse"} {
		add(level, 40, "node_sockstat_"+name)
	}
	for _, name := range []string{"load1", "load5", "load15"} {
		add(load, 1.7, "node_"+name)
	}
	for _, name := range []string{
		"disabled", "dropped", "entries_limit", "expected", "flushed", "found", "ignored", "inserted", "invalid", "max", "new",
		"reserved", "restarts", "searched", "size", "tables", "udp_expired", "unreplied",
	} {
		add(constant, 0, "node_nf_conntrack_"+name)
	}
	add(counter, 9000, "node_context_switches_total")
	add(counter, 6000, "node_intr_total")
	add(counter, 11, "node_forks_total")
	add(level, 3, "node_procs_running")
	add(level, 0, "node_procs_blocked")
	add(level, 900, "node_entropy_available_bits")
	add(level, 2400, "node_filefd_allocated")
	add(constant, 9223372036854775807, "node_filefd_maximum")
	add(constant, 1.763e9, "node_boot_time_seconds")
	add(clock, 0, "node_time_seconds")
	for chip := range 2 {
		for sensor := range 5 {
			add(celsius, 45, "node_hwmon_temp_celsius", label{"chip", fmt.Sprintf("platform_coretemp_%d", chip)}, label{"sensor", fmt.Sprintf("temp%d", sensor+1)})
		}
	}
	for i, name := range []string{
		"arp", "bcache", "bonding", "conntrack", "cpu", "cpufreq", "diskstats", "edac", "entropy", "filefd", "filesystem", "hwmon",
		"loadavg", "meminfo", "netclass", "netdev", "netstat", "nfs", "pressure", "rapl", "schedstat", "sockstat", "softnet", "stat",
		"textfile", "time", "timex", "uname", "vmstat", "xfs", "btrfs", "dmi", "fibrechannel", "infiniband", "ipvs", "mdadm", "nfsd", "nvme",
		"os", "powersupplyclass", "selinux", "tapestats", "thermal_zone", "udp_queues", "watchdog", "zfs",
	} {
		own := label{"collector", name}
		// Most collectors take some ten microseconds, a few some milliseconds.
		add(duration, 0.00002*float64(uint(1)<<(i%8)), "node_scrape_collector_duration_seconds", own)
		add(constant, 1, "node_scrape_collector_success", own)
	}

	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
	shares := []float64{0.05, 0.2, 0.45, 0.66, 0.81, 0.92, 0.97, 0.99, 0.996, 0.999, 1, 1}
	for _, handler := range []struct {
		path string
		rate float64
	}{{"/metrics", 0.07}, {"/api/v1/status", 0}, {"/healthz", 1}} {
		own := []label{{"code", "200"}, {"handler", handler.path}}
		add(observations, handler.rate, "http_request_duration_seconds_count", own...)
		add(floatSum, 0.01, "http_request_duration_seconds_sum", own...)
		for j, le := range bounds {
			add(bucket, shares[j], "http_request_duration_seconds_bucket", append(own[:2:2], label{"le", le})...)
		}
	}

	for _, name := range []string{"alloc_bytes", "heap_alloc_bytes", "heap_idle_bytes", "heap_inuse_bytes", "heap_released_bytes", "stack_inuse_bytes"} {
		add(pages, 20<<20, "go_memstats_"+name)
	}
	add(counter, 3e5, "go_memstats_alloc_bytes_total")
	add(counter, 4000, "go_memstats_mallocs_total")
	add(counter, 4000, "go_memstats_frees_total")
	add(level, 60000, "go_memstats_heap_objects")
	add(level, 12, "go_goroutines")
	add(level, 9, "go_threads")
	add(constant, 1, "go_info", label{"version", "go1.26.8"})
	for _, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		add(lastDuration, 0.0001, "go_gc_duration_seconds", label{"quantile", q})
	}
	add(nanoSum, 0.0001, "go_gc_duration_seconds_sum")
	add(counter, 0.01, "go_gc_duration_seconds_count")
	add(tickCounter, 0.02, "process_cpu_seconds_total")
	add(level, 11, "process_open_fds")
	add(pages, 40<<20, "process_resident_memory_bytes")
	add(constant, 1.2e9, "process_virtual_memory_bytes")
	add(constant, 1.763e9, "process_start_time_seconds")
	add(constant, 1, "node_uname_info", label{"machine", "x86_64"}, label{"release", "6.1.0-32-amd64"}, label{"sysname", "Linux"})
	for _, name := range []string{"estimated_error_seconds", "frequency_adjustment_ratio", "maxerror_seconds", "offset_seconds"} {
		add(constant, 0.00001, "node_timex_"+name)
	}
	for _, name := range []string{"status", "sync_status", "tai_offset_seconds", "tick_seconds", "loop_time_constant"} {
		add(constant, 7, "node_timex_"+name)
	}
	for _, res := range []string{"cpu_waiting", "io_stalled", "io_waiting", "memory_stalled", "memory_waiting"} {
		add(microSum, 0.001, "node_pressure_"+res+"_seconds_total")
	}
	for _, name := range []string{"up", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"} {
		add(constant, 1, name)
	}
	add(duration, 0.02, "scrape_duration_seconds")
	return ms
}
