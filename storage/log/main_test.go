package log

import "testing"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// encoded returns b and panics on err.
func encoded(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
