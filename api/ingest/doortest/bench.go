package doortest

import (
	"syscall"
	"testing"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// CPUTime returns the CPU time of the process, which other load on the machine
// affects less than wall time.
func CPUTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A Step decompresses, decodes and stores a body of FleetSamples samples, without
// HTTP.
type Step func(body []byte)

// CheckStored fails the test unless a body was stored completely.
func CheckStored(t testing.TB, r storage.Receipt, err error) {
	if err != nil || r.Floats != FleetSamples || r.Rejected != nil {
		t.Fatal(r, err)
	}
}

// BenchmarkDecode measures a step with known series. SetBytes counts samples, so
// the MB/s column reads as millions of samples a second.
func BenchmarkDecode(b *testing.B, bodies [][]byte, newStep func(door.Store) Step) {
	step := newStep(NewTable(len(bodies) * FleetSamples))
	for _, body := range bodies {
		step(body)
	}
	b.SetBytes(FleetSamples)
	b.ReportAllocs()
	i, begin := 0, CPUTime(b)
	for b.Loop() {
		step(bodies[i%len(bodies)])
		i++
	}
	b.ReportMetric(float64(CPUTime(b)-begin)/float64(b.N)/FleetSamples, "cpu-ns/sample")
}

// BenchmarkNewSeries measures the first sample of a series: parse, check, sort,
// resolve.
func BenchmarkNewSeries(b *testing.B, bodies [][]byte, newStep func(door.Store) Step) {
	b.ReportAllocs()
	i, begin := 0, CPUTime(b)
	var step Step
	for b.Loop() {
		if i%len(bodies) == 0 {
			step = newStep(NewTable(len(bodies) * FleetSamples))
		}
		step(bodies[i%len(bodies)])
		i++
	}
	b.ReportMetric(float64(CPUTime(b)-begin)/float64(b.N)/FleetSamples, "cpu-ns/series")
}

// KnownSeriesAllocateNothing fails the test if a step with known series allocates.
func KnownSeriesAllocateNothing(t *testing.T, body []byte, newStep func(door.Store) Step) {
	t.Helper()
	step := newStep(NewTable(FleetSamples))
	step(body)
	step(body)
	if n := testing.AllocsPerRun(20, func() { step(body) }); n > 0 {
		t.Errorf("%v allocations in a request of %d samples", n, FleetSamples)
	}
}
