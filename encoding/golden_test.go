package encoding

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden files hold columns of every codec as bytes and what they mean.
// Bytes once written keep their meaning for ever: a change of the first kind of
// line is a choice of the encoder, but the old lines must still decode, so they
// move to testdata/old.golden instead of being rewritten.
func TestGoldenColumns(t *testing.T) {
	path := filepath.Join("testdata", "columns.golden")
	var out bytes.Buffer
	for _, c := range goldenColumns() {
		b := c.append(nil)
		fmt.Fprintf(&out, "%s\n", c.name)
		writeFields(&out, c, b)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		t.Errorf("columns are not those of %s (-update rewrites it):\n%s", path, firstDifference(got, string(want)))
	}
	decodeGolden(t, string(want))
}

// Columns that an earlier encoder wrote still decode.
func TestOldGoldenColumns(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "old.golden"))
	if os.IsNotExist(err) {
		t.Skip("no encoder has changed yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	decodeGolden(t, string(b))
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, g[i], append(w, "")[min(i, len(w))])
		}
	}
	return "lines missing at the end"
}

// decodeGolden decodes the bytes of every column of a golden file.
func decodeGolden(t *testing.T, text string) {
	columns := map[string]column{}
	for _, c := range goldenColumns() {
		columns[c.name] = c
	}
	name, b := "", []byte(nil)
	check := func() {
		if name == "" {
			return
		}
		c, ok := columns[name]
		if !ok {
			t.Fatalf("golden column %s is not known any more", name)
		}
		if same, err := c.decode(t, b, c.n); err != nil || !same {
			t.Errorf("golden column %s: same values: %v, error: %v", name, same, err)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if line != "" && line[0] != ' ' {
			check()
			name, b = line, nil
			continue
		}
		for _, word := range strings.Fields(strings.Split(line+"|", "|")[0]) {
			part, err := hex.DecodeString(word)
			if err != nil {
				t.Fatalf("golden column %s: %v", name, err)
			}
			b = append(b, part...)
		}
	}
	check()
}

// writeFields writes a column as "bytes | offset: meaning", 16 bytes a line.
func writeFields(out *bytes.Buffer, c column, b []byte) {
	fields := []Field{{0, len(b), fmt.Sprintf("%d bytes", len(b))}}
	if k, ok := goldenKinds[strings.Split(c.name, "/")[0]]; ok {
		var err error
		if fields, err = ColumnFields(k, b, c.n); err != nil {
			fmt.Fprintf(out, "  error: %v\n", err)
		}
	}
	for _, f := range fields {
		for at := 0; at < f.Length; at += 16 {
			line := b[f.Offset+at : f.Offset+min(at+16, f.Length)]
			if at == 0 {
				fmt.Fprintf(out, "    %-32x | %3d: %s\n", line, f.Offset, f.Meaning)
			} else {
				fmt.Fprintf(out, "    %x |\n", line)
			}
		}
	}
}

var goldenKinds = map[string]Kind{
	"floats": KindFloats, "timestamps": KindTimestamps, "starts": KindStartTimestamps,
	"histograms": KindHistograms, "bytes": KindBytes,
}

// goldenColumns are short columns of every pattern, and of the forms that no
// pattern of that length has.
func goldenColumns() []column {
	var cs []column
	seen := map[string]bool{}
	for _, c := range suiteColumns(rand.New(rand.NewPCG(100, 200)), 9) {
		switch {
		case seen[c.name] || !strings.HasSuffix(c.name, "/n=9") || strings.Contains(c.name, "/full/"):
		case strings.Contains(c.name, "hint") && !strings.Contains(c.name, "hint=0x0/"):
		case strings.HasPrefix(c.name, "starts") && !strings.HasPrefix(c.name, "starts/aligned"):
		case strings.HasPrefix(c.name, "gorilla") && !strings.Contains(c.name, "counter"):
		default:
			seen[c.name] = true
			c.name = strings.Replace(c.name, "/hint=0x0", "", 1)
			cs = append(cs, c)
		}
	}
	floats := func(name string, vs []float64) {
		cs = append(cs, column{"floats/" + name, len(vs),
			func(dst []byte) []byte { b, _ := AppendFloats(dst, vs, Fast, 0); return b },
			func(t *testing.T, src []byte, n int) (bool, error) {
				return decodeBehind(t, 7.5, vs, sameBits, func(dst []float64) ([]float64, error) { return DecodeFloats(dst, src, n) })
			}})
	}
	floats("multiplied", fill(20, func(i int) float64 { return float64(1000+i*i) * 1e-6 }))
	floats("divided twice", fill(20, func(i int) float64 { return float64(1234567+i*i*7919) / 1000 / 1e6 }))
	floats("corrected", fill(20, func(i int) float64 {
		v := float64(1000+7*i*i) / 100
		if i%5 == 2 {
			v = math.Nextafter(v, 0)
		}
		return v
	}))
	floats("patched", fill(40, func(i int) float64 {
		if i == 9 {
			return 1e9
		}
		return float64(i % 7)
	}))
	floats("different exceptions", fill(40, func(i int) float64 {
		if i == 5 || i == 6 {
			return specials[4+i]
		}
		return float64(i * i)
	}))
	r := rand.New(rand.NewPCG(300, 400))
	stays := func(name string, vs []float64) {
		cs = append(cs, column{"floats/full/" + name, len(vs),
			func(dst []byte) []byte { b, _ := AppendFloats(dst, vs, Full, 0); return b },
			func(t *testing.T, src []byte, n int) (bool, error) {
				return decodeBehind(t, 7.5, vs, sameBits, func(dst []float64) ([]float64, error) { return DecodeFloats(dst, src, n) })
			}})
	}
	walk := func(n int, step func() float64) []float64 {
		v := 1000.0
		return fill(n, func(int) float64 { v += step(); return v })
	}
	stays("tokens", walk(260, func() float64 { return math.Round(r.NormFloat64()) }))
	stays("tokens with extra bits", walk(260, func() float64 { return math.Round(4 * math.Exp(2*r.NormFloat64())) }))
	stays("tokens of seven bits", walk(700, func() float64 { return math.Round(10 * r.NormFloat64()) }))
	stays("four streams", walk(1030, func() float64 { return math.Round(r.NormFloat64() / 2) }))
	stays("sparse", walk(600, func() float64 { return float64(r.IntN(9) / 8 * r.IntN(60)) }))
	times := fill(300, func(i int) int64 { return 1700000000000 + 15000*int64(i) + int64(math.Round(3*r.NormFloat64())) })
	cs = append(cs, column{"timestamps/full/grid", len(times),
		func(dst []byte) []byte { return AppendTimestamps(dst, times, Full) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeBehind(t, 7, times, equal, func(dst []int64) ([]int64, error) { return DecodeTimestamps(dst, src, n) })
		}})
	for _, p := range pointColumns {
		if vs := p.make(r, pointsFrom); len(fullColumn(vs)) < 1400 {
			stays(p.name, vs)
		}
	}
	return cs
}
