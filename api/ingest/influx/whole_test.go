package influx

import (
	"bytes"
	"testing"
)

func TestWholeLines(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"m v=1":                        "",
		"m v=1\n":                      "m v=1\n",
		"m v=1\nm v=":                  "m v=1\n",
		"m s=\"a\nb":                   "",
		"m v=1\nm s=\"a\nb\n":          "m v=1\n",
		"m s=\"a\nb\"\n":               "m s=\"a\nb\"\n",
		"m s=\"a\nb\"\nm v=1\n":        "m s=\"a\nb\"\nm v=1\n",
		"m,t=a\\\n":                    "",
		"m,t=a\\\nb v=1\n":             "m,t=a\\\nb v=1\n",
		"# say \"hi\nm s=\"x\",v=1\nm": "# say \"hi\nm s=\"x\",v=1\n",
	} {
		if n := WholeLines([]byte(in)); in[:n] != want {
			t.Errorf("%q: %q, want %q", in, in[:n], want)
		}
	}
}

// FuzzWholeLines: the whole lines of a text are the same lines when more text follows.
func FuzzWholeLines(f *testing.F) {
	f.Add([]byte("m s=\"a\nb\",v=1\nm v=1\n"), []byte("\"x\n"))
	f.Fuzz(func(t *testing.T, b, more []byte) {
		n := WholeLines(b)
		if n < 0 || n > len(b) || n > 0 && b[n-1] != '\n' {
			t.Fatalf("%d of %q", n, b)
		}
		alone, all := lineReader{src: b[:n]}, lineReader{src: append(bytes.Clone(b), more...)}
		for {
			a, ok := alone.next()
			if !ok {
				return
			}
			if x, _ := all.next(); !bytes.Equal(a, x) {
				t.Fatalf("%q alone, %q with %q", a, x, more)
			}
		}
	})
}
