package sets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// tsbsStep is the time between two samples of a host.
const tsbsStep = 10 * time.Second

// CPUOnly is like TSBS' use case cpu-only: ten integers a host that walk
// between 0 and 100.
func CPUOnly(o Options) Set {
	return tsbs("cpu-only", o, []measurement{{name: "cpu", columns: walks(cpuFields)}})
}

// DevOps is like TSBS' use case devops: 101 fields of nine measurements a
// host.
func DevOps(o Options) Set {
	return tsbs("devops", o, []measurement{
		{"cpu", nil, walks(cpuFields)},
		{"diskio", tagsDiskIO, walks(diskIOFields)},
		{"disk", tagsDisk, diskColumns},
		{"kernel", nil, kernelColumns},
		{"mem", nil, memColumns},
		{"net", tagsNet, walks(netFields)},
		{"nginx", tagsServer("nginx"), walks(nginxFields)},
		{"postgresl", nil, walks(postgresFields)}, // TSBS spells it so
		{"redis", tagsServer("redis"), redisColumns},
	})
}

// measurement is one subsystem of a host: a metric for each of its columns,
// under its name and an underscore.
type measurement struct {
	name    string
	tags    func(*rand.Rand, *labels.Builder) // beside the host's; nil = none
	columns func(n int, random func(field string) *rand.Rand) []namedColumn
}

type namedColumn struct {
	name   string
	values []float64
}

func tsbs(name string, o Options, ms []measurement) Set {
	return Set{
		Name:   name,
		Groups: o.Groups,
		Group: func(host int) ([]Series, error) {
			times := o.times(tsbsStep)
			tags := hostTags(o.random("tags", host), host)
			var all []Series
			for _, m := range ms {
				b := labels.NewBuilder(tags)
				if m.tags != nil {
					m.tags(o.random(m.name+" tags", host), b)
				}
				random := func(field string) *rand.Rand { return o.random(m.name+" "+field, host) }
				for _, c := range m.columns(len(times), random) {
					b.Set(model.MetricNameLabel, m.name+"_"+c.name)
					all = append(all, Series{Labels: b.Labels(), Times: times, Values: c.values})
				}
			}
			return all, nil
		},
	}
}

// walk describes the state of a field: it changes from start by a normally
// distributed step each time. The value of the field is its integer part.
type walk struct {
	mean, deviation float64 // of the step
	start           float64
	min, max        float64 // the state is clamped to these
	rising          bool    // the step is always taken upwards
}

// states returns n states; the first one is the start.
func (w walk) states(n int, r *rand.Rand) []float64 {
	state := w.start
	return column(n, func() float64 {
		now := state
		step := r.NormFloat64()*w.deviation + w.mean
		if w.rising {
			step = math.Abs(step)
		}
		state = min(max(state+step, w.min), w.max)
		return now
	})
}

func integerParts(vs []float64) []float64 {
	for i, v := range vs {
		vs[i] = math.Trunc(v)
	}
	return vs
}

// rising is a counter whose steps are about mean, with deviation 1.
func rising(mean float64) walk {
	return walk{mean: mean, deviation: 1, min: math.Inf(-1), max: math.Inf(1), rising: true}
}

// climbing rises from 0 by about mean, with deviation 1, and stays near max.
func climbing(mean, max float64) walk {
	return walk{mean: mean, deviation: 1, max: max}
}

// drifting is unbounded.
func drifting(mean float64) walk {
	return walk{mean: mean, deviation: 1, min: math.Inf(-1), max: math.Inf(1)}
}

// field is a metric and its walk.
type field struct {
	name string
	walk walk
	// anywhere says that the walk starts at a uniformly random place between
	// its clamps.
	anywhere bool
}

// walks returns the columns of fields that move independently.
func walks(fields []field) func(int, func(string) *rand.Rand) []namedColumn {
	return func(n int, random func(string) *rand.Rand) []namedColumn {
		var cs []namedColumn
		for _, f := range fields {
			r := random(f.name)
			if f.anywhere {
				f.walk.start = f.walk.min + r.Float64()*(f.walk.max-f.walk.min)
			}
			cs = append(cs, namedColumn{f.name, integerParts(f.walk.states(n, r))})
		}
		return cs
	}
}

// named returns fields with the same walk.
func named(w walk, names ...string) []field {
	var fs []field
	for _, name := range names {
		fs = append(fs, field{name: name, walk: w})
	}
	return fs
}

func joined(lists ...[]field) (all []field) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var cpuFields = func() []field {
	fs := named(walk{deviation: 1, max: 100}, "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
		"usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice")
	for i := range fs {
		fs[i].anywhere = true
	}
	return fs
}()

var diskIOFields = joined(
	named(rising(50), "reads", "writes"),
	named(rising(100), "read_bytes", "write_bytes"),
	named(rising(5), "read_time", "write_time", "io_time"),
)

var netFields = joined(
	named(rising(50), "bytes_sent", "bytes_recv", "packets_sent", "packets_recv"),
	named(rising(5), "err_in", "err_out", "drop_in", "drop_out"),
)

var nginxFields = joined(
	named(rising(5), "accepts", "handled", "requests"),
	named(climbing(5, 100), "active", "reading", "waiting", "writing"),
)

var postgresFields = joined(
	named(climbing(5, 1000), "numbackends", "xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched",
		"tup_inserted", "tup_updated", "tup_deleted", "conflicts", "temp_files", "deadlocks", "blk_read_time", "blk_write_time"),
	named(climbing(1024, 1<<30), "temp_bytes"),
)

var redisFields = func() []field {
	const memory = 16 << 30
	halfway := climbing(50, memory)
	halfway.start = memory / 2
	return joined(
		named(rising(5), "total_connections_received"),
		named(rising(50), "expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses"),
		named(drifting(1), "instantaneous_ops_per_sec", "instantaneous_input_kbps", "instantaneous_output_kbps"),
		named(climbing(50, 10000), "connected_clients", "rdb_changes_since_last_save"),
		named(halfway, "used_memory", "used_memory_rss", "used_memory_peak", "used_memory_lua"),
		named(climbing(5, 1000), "sync_full", "sync_partial_ok", "sync_partial_err", "pubsub_channels", "pubsub_patterns",
			"latest_fork_usec", "connected_slaves", "master_repl_offset", "repl_backlog_active", "repl_backlog_size",
			"repl_backlog_histlen", "used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"),
		named(climbing(5, 100), "mem_fragmentation_ratio"),
	)
}()

// redisColumns has the uptime beside the walks.
func redisColumns(n int, random func(string) *rand.Rand) []namedColumn {
	uptime := -tsbsStep
	return append(walks(redisFields)(n, random), namedColumn{"uptime_in_seconds", column(n, func() float64 {
		uptime += tsbsStep
		return uptime.Seconds()
	})})
}

var kernelFields = named(rising(5), "interrupts", "context_switches", "processes_forked", "disk_pages_in", "disk_pages_out")

func kernelColumns(n int, random func(string) *rand.Rand) []namedColumn {
	return append(walks(kernelFields)(n, random), constantColumn("boot_time", n, float64(random("boot_time").IntN(240))))
}

func constantColumn(name string, n int, v float64) namedColumn {
	return namedColumn{name, column(n, func() float64 { return v })}
}

// diskColumns follow from one walk of the free bytes of a terabyte.
func diskColumns(n int, random func(string) *rand.Rand) []namedColumn {
	const total, inode = 1 << 40, 4096
	w := climbing(50, total)
	w.start = total / 2
	free := integerParts(w.states(n, random("free")))
	of := func(f func(free float64) float64) []float64 {
		i := -1
		return column(n, func() float64 { i++; return f(free[i]) })
	}
	return []namedColumn{
		constantColumn("total", n, total),
		{"free", free},
		{"used", of(func(free float64) float64 { return total - free })},
		{"used_percent", of(func(free float64) float64 { return math.Trunc(100 * ((total - free) / total)) })},
		constantColumn("inodes_total", n, total/inode),
		{"inodes_free", of(func(free float64) float64 { return math.Trunc(free / inode) })},
		{"inodes_used", of(func(free float64) float64 { return total/inode - math.Trunc(free/inode) })},
	}
}

// memColumns follow from three walks; the percentages are the only fields of
// all that are not integers. TSBS writes the available bytes as free, too.
func memColumns(n int, random func(string) *rand.Rand) []namedColumn {
	r := random("total")
	total := []float64{8 << 30, 12 << 30, 16 << 30}[r.IntN(3)]
	bytes := func(name string) []float64 {
		return integerParts(walk{deviation: total / 64, start: r.Float64() * total, max: total}.states(n, random(name)))
	}
	used, cached, buffered := bytes("used"), bytes("cached"), bytes("buffered")
	of := func(vs []float64, f func(v float64) float64) []float64 {
		i := -1
		return column(n, func() float64 { i++; return f(vs[i]) })
	}
	available := of(used, func(v float64) float64 { return total - v })
	return []namedColumn{
		constantColumn("total", n, total),
		{"available", available},
		{"used", used},
		{"free", available},
		{"cached", cached},
		{"buffered", buffered},
		{"used_percent", of(used, func(v float64) float64 { return 100 * (v / total) })},
		{"available_percent", of(available, func(v float64) float64 { return 100 * (v / total) })},
		{"buffered_percent", of(buffered, func(v float64) float64 { return 100 * v / total })},
	}
}

// hostTags returns the ten tags of a host as labels.
func hostTags(r *rand.Rand, host int) labels.Labels {
	region := regions[r.IntN(len(regions))]
	return labels.FromStrings(
		"hostname", fmt.Sprintf("host_%d", host),
		"region", region.name,
		"datacenter", region.name+string(region.zones[r.IntN(len(region.zones))]),
		"rack", fmt.Sprint(r.IntN(100)),
		"arch", choice(r, "x64", "x86"),
		"os", choice(r, "Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"),
		"service", fmt.Sprint(r.IntN(20)),
		"service_version", fmt.Sprint(r.IntN(2)),
		"service_environment", choice(r, "production", "staging", "test"),
		"team", choice(r, "SF", "NYC", "LON", "CHI"),
	)
}

func choice(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// regions and the last letters of their datacenters.
var regions = []struct{ name, zones string }{
	{"us-east-1", "abce"}, {"us-west-1", "ab"}, {"us-west-2", "abc"}, {"eu-west-1", "abc"}, {"eu-central-1", "ab"},
	{"ap-southeast-1", "ab"}, {"ap-southeast-2", "ab"}, {"ap-northeast-1", "ac"}, {"sa-east-1", "abc"},
}

func tagsDiskIO(r *rand.Rand, b *labels.Builder) {
	b.Set("serial", fmt.Sprintf("%03d-%03d-%03d", r.IntN(1000), r.IntN(1000), r.IntN(1000)))
}

func tagsDisk(r *rand.Rand, b *labels.Builder) {
	b.Set("path", fmt.Sprintf("/dev/sda%d", r.IntN(10)))
	b.Set("fstype", choice(r, "ext3", "ext4", "btrfs"))
}

func tagsNet(r *rand.Rand, b *labels.Builder) {
	b.Set("interface", fmt.Sprintf("eth%d", r.IntN(4)))
}

func tagsServer(kind string) func(*rand.Rand, *labels.Builder) {
	return func(r *rand.Rand, b *labels.Builder) {
		b.Set("port", fmt.Sprint(1024+r.IntN(20000)))
		b.Set("server", fmt.Sprintf("%s_%d", kind, r.IntN(100000)))
	}
}
