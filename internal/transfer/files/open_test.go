package files

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/transfer"
)

const testMaxLine = 4 * pieceBytes

// readPieces returns the pieces of a file, and their ends.
func readPieces(t testing.TB, name string, cut func([]byte) int) (found []string, ends []int64, skipped int) {
	t.Helper()
	in, err := open(name)
	must(t, err)
	in.maxLine = testMaxLine
	defer func() { must(t, in.close()) }()
	for {
		b, err := in.next(cut)
		if errors.Is(err, io.EOF) {
			return found, ends, in.skipped
		}
		must(t, err)
		found, ends = append(found, string(b)), append(ends, in.at)
	}
}

// The pieces of a file are its lines, but for those that are too long.
func TestPiecesAreWholeLines(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	long := strings.Repeat("x", 3*pieceBytes)
	text.WriteString(long + "\nend")
	want := text.String()
	found, ends, _ := readPieces(t, write(t, "lines", want), nil)
	if got := strings.Join(found, ""); got != want {
		t.Errorf("%d bytes in %d pieces, want %d", len(got), len(found), len(want))
	}
	for i, piece := range found {
		if i < len(found)-1 && !strings.HasSuffix(piece, "\n") {
			t.Errorf("piece %d of %d ends within a line", i, len(found))
		}
	}
	if last := ends[len(ends)-1]; last != int64(len(want)) {
		t.Errorf("the last piece ends at byte %d, want %d", last, len(want))
	}
	// A piece ends where it is cut, and the rest begins the next.
	found, _, _ = readPieces(t, write(t, "lines", want), func(lines []byte) int {
		return strings.LastIndexByte(string(lines[:len(lines)-1]), '\n') + 1
	})
	if got := strings.Join(found, ""); got != want {
		t.Errorf("%d bytes in %d pieces that are cut, want %d", len(got), len(found), len(want))
	}
}

func TestLongLinesAreLeftOut(t *testing.T) {
	long := strings.Repeat("x", 2*testMaxLine)
	for _, c := range []struct{ text, want string }{
		{"a\n" + long + "\nb\n", "a\nb\n"},
		{long + "\nb", "b"},
		{"a\n" + long, "a\n"},
	} {
		found, ends, skipped := readPieces(t, write(t, "lines", c.text), nil)
		if got := strings.Join(found, ""); got != c.want || skipped != 1 {
			t.Errorf("%q and %d lines left out, want %q and one", got, skipped, c.want)
		}
		if n := len(ends); c.text[len(c.text)-1] != 'x' && ends[n-1] != int64(len(c.text)) {
			t.Errorf("the last piece ends at byte %d of %d", ends[n-1], len(c.text))
		}
	}
}

// What a family is counts for the lines behind a position too: le="1" is 1.0 in a
// histogram.
func TestResumedTextKnowsItsFamily(t *testing.T) {
	const before, after = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 1\n", "h_bucket{le=\"2\"} 2 1\n"
	file := write(t, "text", before+after)
	found, _ := readAll(t, "openmetrics", Options{}, int64(len(before)), file)
	if want := `{__name__="h_bucket", le="2.0"} 1000 2`; len(found) != 1 || found[0] != want {
		t.Errorf("%q, want %q", found, want)
	}
}

// OpenMetrics has the start of a counter in a line of its own, one for each point.
func TestStartTimestampsOfOpenMetrics(t *testing.T) {
	f := func(text string, want ...int64) {
		t.Helper()
		p, err := newDoorParser("openmetrics", Options{})
		must(t, err)
		b := newBatch(0)
		must(t, p.parse(t.Context(), []byte("# TYPE m counter\n"+text), b))
		if len(b.series) != 1 || !slices.Equal(b.series[0].samples.ST, want) {
			t.Errorf("%q: %+v, want the starts %d", text, b.series[0], want)
		}
	}
	f("m_total 1 5\nm_created 2.5\n", 2500)
	f("m_created 2.5\nm_total 1 5\n", 2500)
	f("m_total 1 5\nm_created 2 5\nm_total 2 6\nm_created 3 6\n", 2000, 3000)
	f("m_created 2 5\nm_total 1 5\nm_created 3 6\nm_total 2 6\n", 2000, 3000)
	f("m_total 1 5\nm_total 2 6\nm_created 3 6\n", 0, 3000)
	f("m_created 3 5\nm_total 1 5\nm_total 2 6\n", 3000, 0)
	f("m_created 3\nm_total 1 5\nm_created 0\nm_total 2 6\n", 3000, 0)
}

// Memory of a series that is over is used by others, and is bounded.
func TestBatchesReuseMemory(t *testing.T) {
	b := newBatch(0)
	emit := func() {
		t.Helper()
		must(t, b.emit(t.Context(), 1, 1, func(int64, *transfer.Item) error { return nil }))
	}
	first := &series{}
	for i := range maxFree / 2 {
		b.float(first, int64(i), 0, math.Pi)
	}
	emit()
	if first.samples.T != nil || len(b.free) != 1 {
		t.Fatalf("a series keeps the memory of %d samples, %d are free", cap(first.samples.T), len(b.free))
	}
	second, third := &series{}, &series{}
	for i := range maxFree / 2 {
		b.float(second, int64(i), 0, 1)
		b.float(third, int64(i), 0, 1)
	}
	if len(b.free) != 0 {
		t.Error("free memory was not used")
	}
	emit()
	kept := 0
	for _, s := range b.free {
		kept += cap(s.T)
		if s.Len() != 0 {
			t.Error("memory is not empty")
		}
	}
	if kept > maxFree {
		t.Errorf("memory of %d samples is kept, want at most %d", kept, maxFree)
	}
}
