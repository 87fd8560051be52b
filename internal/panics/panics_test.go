package panics

import (
	"errors"
	"strings"
	"testing"
)

func TestCatchMakesAnErrorOfAPanic(t *testing.T) {
	work := func(with any) (err error) {
		defer Catch(&err)
		if with != nil {
			panic(with)
		}
		return errors.New("no panic")
	}
	boom := errors.New("boom")
	for _, with := range []any{"text", boom} {
		var p *Error
		if err := work(with); !errors.As(err, &p) || p.Value != with || !strings.Contains(string(p.Stack), "TestCatchMakes") {
			t.Errorf("panic(%v) became %v", with, err)
		}
	}
	if err := work(boom); !errors.Is(err, boom) {
		t.Errorf("%v is not the error of the panic", err)
	}
	if err := work(nil); err == nil || err.Error() != "no panic" {
		t.Errorf("an error that is none of a panic became %v", err)
	}
}
