package storage

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

// Every byte of a block file is in one row of the table of columns or of that
// of sections, and in one row of every way to sum up.
func TestInspectAccountsForEveryByte(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, fs, "data", Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, ReserveBytes: 4096})
	must(t, err)
	values := []func(k int64) float64{
		func(int64) float64 { return 1 },
		func(k int64) float64 { return float64(k * k % 1009) },
		func(k int64) float64 { return float64(k*k%1009) / 100 },
		func(k int64) float64 { return math.Sin(float64(k)) },
	}
	b := db.NewBatch("test", model.DefaultTenant)
	for i, v := range values {
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		must(t, err)
		for k := range int64(2000) {
			b.Float(ref, clock.Now().UnixMilli()+k*1000+k%3, 0, v(k))
		}
	}
	_, err = b.Commit(ctx)
	must(t, err)
	_, err = db.Compact(ctx)
	must(t, err)
	must(t, db.Close(ctx))

	var out strings.Builder
	must(t, doctor.Inspect(ctx, fs, "data", &out))
	table, header, total := "", []string(nil), 0
	sums := map[string]int{}
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			table = ""
		case table == "":
			table, header = fields[0], fields
		case table == "partition" && fields[0] == "total":
			n, err := strconv.Atoi(fields[3])
			must(t, err)
			total += n
		case table == "by" || table == "column" || table == "section":
			n, err := strconv.Atoi(fields[len(fields)-2])
			must(t, err)
			key := table
			if table == "by" {
				key = fields[0]
			}
			sums[key] += n
			if table == "column" && (len(fields) != len(header) || fields[0] == "floats" && fields[1] == "-") {
				t.Errorf("line %q under %v", line, header)
			}
		}
	}
	if total == 0 || sums["kind"] != total || sums["column"]+sums["section"] != total || sums["transform"] == 0 || sums["coder"] != sums["place"] {
		t.Errorf("sums %v of %d bytes in\n%s", sums, total, out.String())
	}
	for _, want := range []string{"INT", "BITS", "CONST", "delta", "timestamps"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	if testing.Verbose() {
		t.Log("\n" + out.String())
	}
}
