package storage_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// lifeEpoch is the time at which a life begins.
var lifeEpoch = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// lifeTime writes a time for people.
func lifeTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("01-02T15:04:05.000") }

// lifeOp is something that happens to a database. It does not depend on what happened
// before, so that others can be left out.
type lifeOp struct {
	kind     opKind
	n        int           // steps, or the number of a snapshot
	flag     bool          // of merges: to the final form; of steps of rollups: forced
	by       time.Duration // of advance
	bursts   []burst
	sets     []string // selectors, of deletions and reads
	tr       model.TimeRange
	options  lifeOptions
	question lifeQuestion
	how      string // of restart
}

type opKind uint8

const (
	opWrite opKind = iota
	opImport
	opDelete
	opAdvance
	opFlush
	opWatch
	opMerge
	opRoll
	opCompact
	opRetain
	opClean
	opSweep
	opSnapshot
	opOpenSnapshot
	opRemoveSnapshot
	opRestore
	opBackup
	opMoment
	opRestoreBackup
	opReload
	opRestart
	opReadAll
	opSelect
	opLabels
	opAsk
)

var opKindNames = [...]string{"write", "import", "delete", "advance", "flush", "watch", "merge", "roll", "compact", "retain", "clean", "sweep",
	"snapshot", "open-snapshot", "remove-snapshot", "restore", "backup", "moment", "restore-backup", "reload", "restart", "read-all", "select", "names", "ask"}

func (o lifeOp) String() string {
	words := []string{opKindNames[o.kind]}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch o.kind {
	case opWrite, opImport:
		for _, b := range o.bursts {
			add("[%v]", b)
		}
	case opDelete:
		add("%s [%s, %s)", strings.Join(o.sets, " "), lifeTime(o.tr.Min), lifeTime(o.tr.Max))
	case opSelect:
		add("%s [%s, %s)", o.sets[0], lifeTime(o.tr.Min), lifeTime(o.tr.Max))
	case opAdvance:
		add("%v", o.by)
	case opMerge, opRoll:
		add("n=%d flag=%v", o.n, o.flag)
	case opOpenSnapshot, opRemoveSnapshot, opRestore:
		add("%d", o.n)
	case opRestoreBackup:
		add("%d live-on=%v", o.n, o.flag)
	case opReload:
		add("%v", o.options)
	case opRestart:
		add("%s %v", o.how, o.options)
	case opAsk:
		add("%v", o.question)
	default:
	}
	return strings.Join(words, " ")
}

// lifeGenerator makes operations. It knows the time, but nothing of the database.
type lifeGenerator struct {
	r         *rand.Rand
	now       int64
	options   lifeOptions
	written   []burst        // some of what was written, to be written again
	following *lifeOp        // the next operation; nil = any
	asked     []lifeQuestion // some of what was asked, to be asked again
}

// generateLife returns the options at the first start and n operations.
func generateLife(seed uint64, n int) (lifeOptions, []lifeOp) {
	g := &lifeGenerator{r: rand.New(rand.NewPCG(seed, 1)), now: lifeEpoch.UnixMilli()}
	g.options = randomOptions(g.r)
	first := g.options
	ops := make([]lifeOp, n)
	for i := range ops {
		ops[i] = g.next()
	}
	return first, ops
}

// lifeWeights are the numbers of operations of each kind in a thousand, about: those that
// take long are rare.
var lifeWeights = [...]int{
	opWrite: 830, opImport: 4, opDelete: 25, opAdvance: 80, opFlush: 8, opWatch: 6, opMerge: 8, opRoll: 4, opCompact: 1, opRetain: 4, opClean: 1, opSweep: 3,
	opSnapshot: 1, opOpenSnapshot: 1, opRemoveSnapshot: 1, opRestore: 1, opBackup: 3, opMoment: 4, opRestoreBackup: 2, opReload: 3, opRestart: 4, opReadAll: 4, opSelect: 12, opLabels: 3, opAsk: 18,
}

var lifeWeightsTotal = func() (n int) {
	for _, w := range lifeWeights {
		n += w
	}
	return n
}()

func (g *lifeGenerator) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *lifeGenerator) next() lifeOp {
	if o := g.following; o != nil {
		g.following = nil
		return *o
	}
	at := g.r.IntN(lifeWeightsTotal)
	kind := opKind(0)
	for ; at >= lifeWeights[kind]; kind++ {
		at -= lifeWeights[kind]
	}
	o := lifeOp{kind: kind, n: 1 + g.r.IntN(4), flag: g.chance(30)}
	switch kind {
	case opWrite:
		for range 1 + g.r.IntN(3) {
			o.bursts = append(o.bursts, g.burst())
		}
	case opImport:
		from := g.now - g.r.Int64N(25*model.DayMs)
		for range 1 + g.r.IntN(4) {
			b := g.burst()
			b.from += from - g.now
			b.exemplar = false
			o.bursts = append(o.bursts, b)
		}
	case opDelete:
		for range pickOf(g.r, 1, 1, 1, 2, 3) {
			o.sets = append(o.sets, g.selector())
		}
		o.tr = g.timeRange()
		if len(g.written) > 0 && g.chance(40) { // what is written again is there again
			b := pickOf(g.r, g.written...)
			o.sets[0] = fmt.Sprintf(`{i="%d"}`, b.series)
			o.tr = model.TimeRange{Min: b.from - g.r.Int64N(2), Max: b.from + 1 + b.step*g.r.Int64N(int64(b.n)+1)}
			b.seed, b.n = b.seed+1, 1+g.r.IntN(b.n)
			g.following = &lifeOp{kind: opWrite, bursts: []burst{b}}
		}
	case opSelect:
		o.sets, o.tr = []string{g.selector()}, g.timeRange()
	case opAdvance:
		o.by = time.Duration(g.r.Int64N(int64(pickOf(g.r, time.Minute, time.Hour, 4*time.Hour, 9*time.Hour)))).Truncate(time.Millisecond)
		if g.chance(2) {
			o.by = -o.by
		} else if g.chance(1) {
			o.by = 3 * 24 * time.Hour
		}
		g.now += o.by.Milliseconds()
	case opRestart:
		if g.chance(40) {
			g.options = randomOptions(g.r)
		}
		o.options, o.how = g.options, pickOf(g.r, "stop", "kill", "kill", "power-cut lose", "power-cut torn", "power-cut sectors")
		o.n = g.r.IntN(1 << 20)
	case opReload:
		g.options.retention(g.r)
		o.options = g.options
	case opRestoreBackup:
		o.n = g.r.IntN(1 << 20)
	case opAsk:
		o.question = g.question()
	default:
	}
	return o
}

// burst returns samples around now, or late, or in the place of others.
func (g *lifeGenerator) burst() burst {
	if len(g.written) > 0 && g.chance(20) {
		b := pickOf(g.r, g.written...)
		switch g.r.IntN(4) {
		case 0: // the same again
		case 1:
			b.stale = true
		default:
			b.seed, b.stale = uint64(g.r.IntN(1000)), false
		}
		if g.chance(30) && b.n > 2 {
			b.from, b.n = b.from+b.step, b.n/2
		}
		return b
	}
	b := burst{
		series: g.r.IntN(lifeSeries), from: g.now - g.r.Int64N(pickOf(g.r, 60_000, 60_000, model.HourMs, model.HourMs, model.DayMs, 12*model.DayMs)),
		step: pickOf(g.r, int64(1), 1000, 5000, 15_000, 15_000, 60_000), n: pickOf(g.r, 1, 1, 1, 2, 4, 8), seed: uint64(g.r.IntN(1000)),
		stale: g.chance(3), starts: g.chance(3), exemplar: g.chance(5),
	}
	switch g.r.IntN(120) {
	case 0:
		b.step, b.n = pickOf(g.r, int64(1000), 2000, 5000), 150+g.r.IntN(300) // enough for buckets of a minute
	case 1:
		b.step, b.n = 300_000, 50+g.r.IntN(200)
	case 2:
		b.from = g.now + g.r.Int64N(3*model.DayMs)
	default:
	}
	b.from -= b.from % pickOf(g.r, int64(1), 1000, 15_000, 15_000, 60_000, model.HourMs)
	if len(g.written) < 50 {
		g.written = append(g.written, b)
	} else {
		g.written[g.r.IntN(len(g.written))] = b
	}
	return b
}

// selector returns matchers, in the notation of PromQL.
func (g *lifeGenerator) selector() string {
	name := kindOf(g.r.IntN(lifeSeries)).metric()
	return pickOf(g.r,
		fmt.Sprintf(`{i="%d"}`, g.r.IntN(lifeSeries)), fmt.Sprintf(`{i="%d"}`, g.r.IntN(lifeSeries)), name, fmt.Sprintf(`%s{env="dev"}`, name),
		fmt.Sprintf(`{__name__="%s",i!="%d"}`, name, g.r.IntN(lifeSeries)), `{odd=~".+"}`, fmt.Sprintf(`{i=~"1.|%d",env!="prod"}`, g.r.IntN(9)), `{__name__=~".*o.*"}`, `{env="prod",odd=""}`)
}

// timeRange returns a range, of which the borders may be those of hours or days.
func (g *lifeGenerator) timeRange() model.TimeRange {
	if g.chance(4) {
		return model.AllTime
	}
	if len(g.written) > 0 && g.chance(40) { // from one sample to another, to the millisecond
		b := pickOf(g.r, g.written...)
		from := b.from + b.step*g.r.Int64N(int64(b.n))
		return model.TimeRange{Min: from + g.r.Int64N(3) - 1, Max: from + 2 + b.step*g.r.Int64N(int64(b.n)) + g.r.Int64N(2)}
	}
	from := g.now - g.r.Int64N(pickOf(g.r, model.HourMs, model.DayMs, 14*model.DayMs))
	length := g.r.Int64N(pickOf(g.r, 60_000, model.HourMs, model.DayMs, 3*model.DayMs))
	unit := pickOf(g.r, int64(1), 1, 1000, model.HourMs, model.DayMs)
	from -= from % unit
	return model.TimeRange{Min: from + g.r.Int64N(3) - 1, Max: from + length - length%unit + 2}
}

// matchers parses a selector.
func matchers(selector string) []*labels.Matcher {
	ms, err := lifeParser.ParseMetricSelector(selector)
	if err != nil {
		panic(err)
	}
	return ms
}
