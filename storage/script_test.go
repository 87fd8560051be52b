package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// TestScripts runs the scripts in testdata/script: commands go in, the answers
// and what changed in the database come out. Everything is deterministic: the
// file system is in memory, the clock stands still until a script advances it,
// the background jobs run when a script says so, and seeds are fixed. After a
// deliberate change of behaviour
//
//	go test ./storage -run TestScripts -rewrite
//
// writes the answers anew; the difference is to be reviewed like code.
// script_notation_test.go describes how times, samples and blocks are written.
//
//	open [retention= future= cut-age= cut-log= cut-memory= segment= disk= min-free= reserve= rollups=1m:180d,1h]
//	close [how=], restart [how=kill|power-cut|stop]
//	advance 5h
//	append                 a series and its samples a line
//	flush                  cut the head at once
//	watch                  one round of the job that measures space and cuts
//	merge [n=1] [final]    merges until none is due, or n of them; final is compact's choice
//	compact, retain, sweep
//	roll [n=1] [force]     steps of rollups until none is due, or n of them; force is compact's choice
//	rollups                what the status says about them
//	delete                 a selector and a range a line
//	query                  the same; without lines everything
//	view                   heads, blocks, deletions, floor, low end of the log
//	files                  the files of blocks
//
// //	cuts n=                append the lines, or 1 at the present time, and flush, every second, n times
//
//	fault op= file= err= [times=], or fault off
//	damage file= at=       flips a bit; at < 0 counts from the end; gone removes the file
//	disk free=             leaves so much free space
//	new                    begins with an empty disk
//	keep file=             set a copy of a file aside
//	restore file= [as=]    put the copy back
//	pin, unpin             hold a view, as a long query does
//	health                 what the database says about itself
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		s := newScript(t)
		defer s.stop()
		datadriven.RunTest(t, path, s.run)
	})
}

// scriptEpoch is the time at which every script begins. Times of its month are
// written without year and month.
var scriptEpoch = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// script is the world of one script.
type script struct {
	ctx    context.Context
	mem    *vfs.Mem
	fault  *vfs.Fault
	clock  *vfs.ManualClock
	opts   Options
	db     *DB
	pinned *View
	kept   map[string][]byte // copies of files, by name
	events eventLog
}

func newScript(t *testing.T) *script {
	s := &script{ctx: t.Context(), clock: vfs.NewManualClock(scriptEpoch), kept: map[string][]byte{}}
	s.use(vfs.NewMem())
	return s
}

// use puts the script on a file system.
func (s *script) use(mem *vfs.Mem) {
	s.mem, s.fault = mem, vfs.NewFault(mem)
}

// stop ends what a script has left open.
func (s *script) stop() {
	if s.pinned != nil {
		s.pinned.Release()
	}
	if s.db != nil {
		closeUncut(s.db)
	}
}

// run runs a command and returns its answer.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "open", "advance", "files", "disk", "fault", "damage", "new", "keep", "restore":
	default:
		if s.db == nil {
			d.Fatalf(t, "the database is not open")
		}
	}
	args := scriptArgs{t: t, d: d}
	defer args.checkUnused()
	var b strings.Builder
	switch d.Cmd {
	case "open":
		s.setOptions(&args)
		s.open(&b)
	case "close":
		s.close(&b, cmp.Or(args.text("how"), "stop"))
	case "restart":
		s.close(&b, cmp.Or(args.text("how"), "kill"))
		s.open(&b)
	case "advance":
		by, err := time.ParseDuration(args.flag())
		args.must(err)
		s.clock.Advance(by)
		fmt.Fprintf(&b, "%s\n", scriptTime(s.clock.Now().UnixMilli()))
	case "append":
		s.append(&args, &b)
	case "cuts":
		s.cuts(&args)
	case "delete":
		for _, line := range strings.Split(d.Input, "\n") {
			ms, tr, err := parseSelection(line)
			args.must(err)
			s.report(&b, s.db.Delete(s.ctx, model.DefaultTenant, tr, ms...))
		}
	case "query":
		s.query(&args, &b)
	case "view":
		s.view(&b)
	case "files":
		s.files(&b)
	case "fault":
		s.setFault(&args)
	case "disk":
		s.mem.SetCapacity(s.mem.Used() + args.bytes("free"))
	case "damage":
		s.report(&b, s.damage(&args))
	case "new":
		s.use(vfs.NewMem())
	case "keep":
		name := args.text("file")
		data, err := s.readFile(name)
		s.report(&b, err)
		s.kept[name] = data
	case "restore":
		s.report(&b, s.restore(args.text("file"), args.text("as")))
	case "pin":
		view, err := s.db.View()
		args.must(err)
		s.pinned = view
	case "unpin":
		s.pinned.Release()
		s.pinned = nil
	case "health":
		s.health(&b)
	case "rollups":
		s.rollups(&b)
	default:
		s.runJob(&args, &b)
	}
	return b.String()
}

// runJob runs a step of the background work and reports what it did.
func (s *script) runJob(args *scriptArgs, b *strings.Builder) {
	step, ok := s.jobs(args)[args.d.Cmd]
	if !ok {
		args.d.Fatalf(args.t, "unknown command")
	}
	before := s.state()
	err := step(b)
	s.events.writeTo(b)
	writeChanges(b, before, s.state())
	s.report(b, err)
}

// scriptErrors are the errors that scripts name by their kind, so that wording
// can change.
var scriptErrors = []struct {
	kind string
	err  error
}{
	{"log failed", ErrPoisoned}, {"busy", ErrBusy}, {"in use", ErrInUse}, {"MANIFEST damaged", ErrManifestDamaged}, {"too large", ErrDeleteTooLarge},
	{"no space", syscall.ENOSPC}, {"input/output", syscall.EIO}, {"not permitted", syscall.EPERM}, {"damage", format.ErrCorrupt},
}

// report writes an error, if there is one.
func (s *script) report(b *strings.Builder, err error) {
	for _, e := range scriptErrors {
		if errors.Is(err, e.err) {
			fmt.Fprintf(b, "error: %s\n", e.kind)
			return
		}
	}
	if err != nil {
		fmt.Fprintf(b, "error: %v\n", err)
	}
}

func (s *script) setOptions(args *scriptArgs) {
	s.opts = Options{
		RetentionMs: args.duration("retention").Milliseconds(), MaxFutureMs: args.duration("future").Milliseconds(),
		CutAge: args.duration("cut-age"), CutWALBytes: args.bytes("cut-log"), CutHeadBytes: args.bytes("cut-memory"),
		WALSegmentBytes: cmp.Or(args.bytes("segment"), 1<<20), MinFreeBytes: args.bytes("min-free"), ReserveBytes: args.bytes("reserve"),
		Clock: s.clock, Seed: 1, AliasSeed: 1, CacheBytes: -1, Logger: s.events.logger(),
	}
	for word := range strings.SplitSeq(args.text("rollups"), ",") {
		if word == "" {
			continue
		}
		name, kept, _ := strings.Cut(word, ":")
		tier, ok := block.ParseTier(name)
		if !ok {
			args.must(fmt.Errorf("%s is no tier", name))
		}
		if s.opts.TierRetentionMs == nil {
			s.opts.TierRetentionMs = map[block.Tier]int64{}
		}
		s.opts.TierRetentionMs[tier] = args.parseDuration(kept).Milliseconds()
	}
	if n := args.bytes("disk"); n > 0 {
		s.mem.SetCapacity(n)
	}
	s.opts.Strict = args.has("strict")
}

// open opens the database and reports what recovery found.
func (s *script) open(b *strings.Builder) {
	db, err := Open(s.ctx, s.fault, "data", s.opts)
	s.events.drop()
	if err != nil {
		s.report(b, err)
		return
	}
	s.db = db
	r := db.Recovery()
	fmt.Fprintf(b, "replayed %d samples, %d definitions of series\n", r.Samples, r.Series)
	if r.Log.Torn.File != "" {
		fmt.Fprintf(b, "torn end of the log cut off\n")
	}
	for _, d := range r.Log.Damage {
		fmt.Fprintf(b, "damage in the log: %v\n", d)
	}
	for _, l := range r.Leftovers {
		fmt.Fprintf(b, "leftover %s: %s", l.Name, l.Reason)
		if l.MovedTo != "" {
			fmt.Fprintf(b, ", moved to %s", l.MovedTo)
		}
		if l.Err != nil {
			fmt.Fprintf(b, ", stays: %v", l.Err)
		}
		fmt.Fprintln(b)
	}
	for _, err := range db.Quarantined() {
		fmt.Fprintf(b, "quarantined: %v\n", err)
	}
}

// close ends the database: stop closes it with a cut, kill without, and a
// power-cut takes away all that was not synced.
func (s *script) close(b *strings.Builder, how string) {
	switch how {
	case "stop":
		s.report(b, s.db.Close(s.ctx))
	case "kill":
		closeUncut(s.db)
	case "power-cut":
		after := s.mem.CrashClone(vfs.CrashOptions{})
		closeUncut(s.db)
		s.use(after)
	default:
		s.report(b, fmt.Errorf("how is %q, want stop, kill or power-cut", how))
	}
	s.db = nil
	s.events.drop()
}

// append commits one batch with the samples of all lines.
func (s *script) append(args *scriptArgs, b *strings.Builder) {
	batch := s.db.NewBatch("script", model.DefaultTenant)
	for i, line := range strings.Split(args.d.Input, "\n") {
		ls, samples, err := parseSeries(line)
		args.must(err)
		ref, err := batch.Resolve(model.Hash{Hi: ls.Hash(), Lo: uint64(i)}, ls)
		args.must(err)
		for k, t := range samples.T {
			if h := samples.HistogramAt(k); !h.IsZero() {
				batch.Histogram(ref, t, 0, h)
			} else {
				batch.Float(ref, t, 0, samples.V[k])
			}
		}
	}
	receipt, err := batch.Commit(s.ctx)
	if err != nil {
		s.report(b, err)
		return
	}
	fmt.Fprintf(b, "%d samples\n", receipt.Floats+receipt.Histograms)
	for _, r := range receipt.Rejected {
		fmt.Fprintf(b, "%d refused: %s\n", r.Count, r.Reason)
	}
}

// cuts makes L0s of the samples in the lines, or of one sample a series.
func (s *script) cuts(args *scriptArgs) {
	for range args.number("n") {
		batch := s.db.NewBatch("script", model.DefaultTenant)
		for i, line := range strings.Split(args.d.Input, "\n") {
			ls, samples, err := parseSeries(line)
			args.must(err)
			ref, err := batch.Resolve(model.Hash{Hi: ls.Hash(), Lo: uint64(i)}, ls)
			args.must(err)
			if samples.Len() == 0 {
				samples.Append(s.clock.Now().UnixMilli(), 0, 1, model.Histogram{})
			}
			for k, at := range samples.T {
				batch.Float(ref, at, 0, samples.V[k])
			}
		}
		_, err := batch.Commit(s.ctx)
		args.must(err)
		_, err = s.db.Flush(s.ctx)
		args.must(err)
		s.clock.Advance(time.Second)
	}
}

// setFault makes operations fail until it is called again.
func (s *script) setFault(args *scriptArgs) {
	if args.has("off") {
		s.fault.SetHook(nil)
		return
	}
	op, file, times := args.text("op"), args.text("file"), cmp.Or(args.number("times"), 1<<30)
	failure, ok := map[string]error{"io": syscall.EIO, "space": syscall.ENOSPC, "permission": syscall.EPERM}[args.text("err")]
	if !ok {
		args.must(errors.New("err is io, space or permission"))
	}
	var mu sync.Mutex
	s.fault.SetHook(func(o vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if o.Kind.String() != op || !strings.Contains(o.Name, file) || times == 0 {
			return nil
		}
		times--
		return failure
	})
}

// damage flips a bit of a file or removes it.
func (s *script) damage(args *scriptArgs) (err error) {
	name, at := "data/"+args.text("file"), args.bytes("at")
	if args.has("gone") {
		return s.mem.Remove(name)
	}
	f, err := s.mem.OpenReadWrite(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	if at < 0 {
		size, err := f.Size()
		if err != nil {
			return err
		}
		at += size
	}
	var one [1]byte
	if _, err := f.ReadAt(one[:], at); err != nil {
		return err
	}
	one[0] ^= 0x10
	_, err = f.WriteAt(one[:], at)
	return err
}

// readFile returns the bytes of a file of the data directory.
func (s *script) readFile(name string) ([]byte, error) {
	f, err := s.mem.Open("data/" + name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = f.ReadAt(data, 0)
	return data, err
}

// restore puts the copy of a file in its place, or in that of another.
func (s *script) restore(name, as string) error {
	data, ok := s.kept[name]
	if !ok {
		return fmt.Errorf("%s was not kept", name)
	}
	full := "data/" + cmp.Or(as, name)
	if err := s.mem.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.mem.MkdirAll(path.Dir(full)); err != nil {
		return err
	}
	f, err := s.mem.Create(full)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Sync(), f.Close(), s.mem.SyncDir(path.Dir(full)))
}

// health writes what the database says about itself.
func (s *script) health(b *strings.Builder) {
	if err := s.db.Health(); err != nil {
		fmt.Fprintf(b, "health: %v\n", err)
	}
	for _, w := range s.db.Warnings() {
		fmt.Fprintf(b, "warning: %s\n", w)
	}
	for _, err := range s.db.Quarantined() {
		fmt.Fprintf(b, "quarantined: %v\n", err)
	}
	if b.Len() == 0 {
		b.WriteString("well\n")
	}
}

// scriptArgs are the arguments of a command. All must be used.
type scriptArgs struct {
	t    *testing.T
	d    *datadriven.TestData
	used []string
}

func (a *scriptArgs) must(err error) {
	a.t.Helper()
	if err != nil {
		a.d.Fatalf(a.t, "%v", err)
	}
}

// text returns the value of an argument, "" if it is not given.
func (a *scriptArgs) text(key string) string {
	a.used = append(a.used, key)
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return ""
}

// has reports whether an argument without a value is given.
func (a *scriptArgs) has(key string) bool {
	a.used = append(a.used, key)
	return a.d.HasArg(key)
}

// flag returns the first argument, which has no value.
func (a *scriptArgs) flag() string {
	if len(a.d.CmdArgs) == 0 {
		a.d.Fatalf(a.t, "an argument is missing")
	}
	a.used = append(a.used, a.d.CmdArgs[0].Key)
	return a.d.CmdArgs[0].Key
}

func (a *scriptArgs) number(key string) int { return int(a.bytes(key)) }

// bytes returns a number with an optional unit, K or M.
func (a *scriptArgs) bytes(key string) int64 {
	v := a.text(key)
	if v == "" {
		return 0
	}
	unit := int64(1)
	for suffix, n := range map[string]int64{"K": 1 << 10, "M": 1 << 20} {
		if rest, ok := strings.CutSuffix(v, suffix); ok {
			v, unit = rest, n
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	a.must(err)
	return n * unit
}

// duration returns a duration, of which days are a unit too.
func (a *scriptArgs) duration(key string) time.Duration {
	return a.parseDuration(a.text(key))
}

func (a *scriptArgs) parseDuration(v string) time.Duration {
	if v == "" {
		return 0
	}
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.Atoi(days)
		a.must(err)
		return time.Duration(n) * 24 * time.Hour
	}
	d, err := time.ParseDuration(v)
	a.must(err)
	return d
}

// checkUnused fails the script if an argument means nothing to its command.
func (a *scriptArgs) checkUnused() {
	if a.t.Failed() {
		return
	}
	for _, arg := range a.d.CmdArgs {
		if !slices.Contains(a.used, arg.Key) {
			a.d.Fatalf(a.t, "unknown argument %s", arg.Key)
		}
	}
}
