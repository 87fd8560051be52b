package query

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
)

// processCPU returns the CPU time that the test process has used: a busy machine does not
// add to it.
func processCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestDeepTextsAreRefusedBeforeParsing(t *testing.T) {
	p := NewParser(parser.Options{}, admission.TextLimits{})
	refused := func(name, text, part string) {
		t.Helper()
		began := processCPU(t)
		_, err := p.ParseExpr(text)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want %q", name, err, part)
		}
		if _, err := p.ParseMetricSelector(text); err == nil {
			t.Errorf("%s: taken as a selector", name)
		}
		if _, err := p.Format(text); err == nil {
			t.Errorf("%s: formatted", name)
		}
		if d := processCPU(t) - began; d > 2*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	refused("parentheses", strings.Repeat("(", 50_000)+"1"+strings.Repeat(")", 50_000), "levels deep")
	refused("open parentheses", strings.Repeat("(", 100_000), "levels deep")
	refused("functions", strings.Repeat("abs(", 1000)+"x"+strings.Repeat(")", 1000), "levels deep")
	refused("sums", "1"+strings.Repeat("+1", 50_000), "operators")
	refused("signs", strings.Repeat("-", 100_000)+"1", "operators")
	refused("subqueries", "x"+strings.Repeat("[1h:1m]", 10_000), "operators")
	refused("sets", "a"+strings.Repeat(" or a", 20_000), "operators")
	refused("length", `x{a="`+strings.Repeat("b", admission.DefaultTextBytes)+`"}`, "bytes")
}

func TestLongFlatTextsAreTaken(t *testing.T) {
	p := NewParser(parser.Options{}, admission.TextLimits{})
	taken := func(name, text string) {
		t.Helper()
		began := processCPU(t)
		if _, err := p.ParseExpr(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := processCPU(t) - began; d > 2*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	taken("regular expression", `x{a=~"`+strings.Repeat("server-1|", 11_000)+`"}`)
	taken("matchers", "x{"+strings.Repeat(`a!="b",`, 14_000)+"}")
	taken("grouping", "sum by ("+strings.Repeat("a,", 50_000)+"b) (x)")
	taken("comment", "1 #"+strings.Repeat("(", 100_000))
	taken("string", `"`+strings.Repeat("(-", 50_000)+`"`)
	taken("depth", strings.Repeat("(", admission.DefaultTextDepth)+"1"+strings.Repeat(")", admission.DefaultTextDepth))
	taken("operators", "1"+strings.Repeat("+1", admission.DefaultTextOperators))
	taken("many shallow calls", "sum(x)"+strings.Repeat("+sum(x)", admission.DefaultTextOperators))
}

// The formatter takes time cubic in depth; expressions that are too deep for
// it are returned on one line, with the same meaning.
func TestFormattingIsBounded(t *testing.T) {
	p := NewParser(parser.Options{}, admission.TextLimits{})
	if got, err := p.Format("sum  by(a)(x)"); err != nil || got != "sum by (a) (x)" {
		t.Errorf("got %q, %v", got, err)
	}
	began := processCPU(t)
	got, err := p.Format("1" + strings.Repeat("+1", admission.DefaultTextOperators))
	if err != nil || strings.Count(got, "+") != admission.DefaultTextOperators || strings.Contains(got, "\n") {
		t.Errorf("got %.40q…, %v", got, err)
	}
	if d := processCPU(t) - began; d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// FuzzComplexity: whatever the text, judging it neither panics nor changes
// whether Prometheus' parser takes it, unless it exceeds a bound.
func FuzzComplexity(f *testing.F) {
	for _, s := range []string{"", "up", "a[5m] offset -1m", "sum(rate(x[5m:1s])) by (a)", `{"a.b"=~"c"} # (`, "((", "))", "\xff\x00", "`", "1 @ end()"} {
		f.Add(s)
	}
	p := NewParser(parser.Options{}, admission.TextLimits{})
	f.Fuzz(func(t *testing.T, text string) {
		if _, bad := p.limits.Check(text); bad != nil {
			return
		}
		_, got := p.ParseExpr(text)
		_, want := p.Parser.ParseExpr(text)
		if (got == nil) != (want == nil) {
			t.Errorf("%q: %v, Prometheus: %v", text, got, want)
		}
	})
}
