package door

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tsdb/api/reqbody"
)

// TestTextsOfJSON: escapes become UTF-8, and half a surrogate pair U+FFFD.
func TestTextsOfJSON(t *testing.T) {
	var j JSON
	for src, want := range map[string]string{
		`"a\"\\\/\b\f\n\r\tz"`: "a\"\\/\b\f\n\r\tz", `"\u00fc\u0000"`: "ü\x00", `"\ud83d\ude00"`: "😀",
		`"\ud83d"`: "\uFFFD", `"\ud83d\u0041"`: "\uFFFDA", `"\ude00x"`: "\uFFFDx", `"\ud83d\ud83d\ude00"`: "\uFFFD😀", "\"\xff\"": "\xff",
		`""`: "", `1.50`: "1.50", ` -0e1 `: "-0e1", `true`: "true", `"null"`: "null",
	} {
		v, err := j.Parse([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := j.Text(v); string(got) != want || got == nil || err != nil {
			t.Errorf("%s: %q %v, want %q", src, got, err, want)
		}
	}
	for _, src := range []string{`[]`, `[1]`, `{}`, `{"a":1}`} {
		if v, err := j.Parse([]byte(src)); err != nil {
			t.Fatal(err)
		} else if got, err := j.Text(v); !errors.Is(err, ErrJSON) {
			t.Errorf("%s: %q %v", src, got, err)
		}
	}
	v, err := j.Parse([]byte(`null`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := j.Text(v); got != nil || err != nil {
		t.Errorf("null: %q %v", got, err)
	}
}

// TestTreesTakeNoMoreThanCharged: whatever their form, and also with a new parser.
func TestTreesTakeNoMoreThanCharged(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, takes memory of its own")
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, item := range []string{`0,`, `[],`, `{},`, `[0],`, `{"":0},`, `[[0,0]],`, `{"":"","":[]},`} {
		src := []byte("[" + strings.Repeat(item, 1<<19/len(item)) + "0]")
		for _, nested := range []bool{false, true} {
			if nested { // the array is a member, which begins later
				src = fmt.Appendf(nil, `{"a":{"b":%s}}`, src)
			}
			charge := reqbody.NewBudget(reqbody.Options{Limit: 1 << 30}).NewCharge()
			var j JSON
			before := heap()
			j.ChargeTo(t.Context(), charge)
			if _, err := j.Parse(src); err != nil {
				t.Fatal(err)
			}
			if took := heap() - before; took > j.Paid() {
				t.Errorf("%s: %d bytes, charged %d", item, took, j.Paid())
			}
			if j.Release(); j.parser != nil {
				t.Error("a large parser is kept")
			}
			runtime.KeepAlive(src)
		}
	}
}

// TestTreesAreBounded: one that takes more than the budget is refused before it is made,
// though its request is the only one.
func TestTreesAreBounded(t *testing.T) {
	budget := reqbody.NewBudget(reqbody.Options{Limit: 1 << 20})
	for n, ok := range map[int]bool{1 << 12: true, 1 << 13: false} {
		charge := budget.NewCharge()
		var j JSON
		j.ChargeTo(t.Context(), charge)
		_, err := j.Parse([]byte("[" + strings.Repeat("0,", n) + "0]"))
		if (err == nil) != ok || !ok && !errors.Is(err, reqbody.ErrTooLarge) {
			t.Errorf("%d values: %v", n, err)
		}
		if used := budget.Used(); used != j.Paid() || (used > 0) != ok {
			t.Errorf("%d values: %d bytes charged, %d paid", n, used, j.Paid())
		}
		charge.Release()
	}
}
