package door

import "testing"

func TestNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"": {"", ""}, "cpu": {"cpu", "cpu"}, "sys.cpu-0/x": {"sys_cpu_0_x", "sys_cpu_0_x"}, "a:b": {"a:b", "a_b"}, "5xx": {"_5xx", "_5xx"}, "é": {"_", "_"}, "a\xffé\xc3": {"a___", "a___"}, "Ab_9": {"Ab_9", "Ab_9"},
	} {
		if got := [2]string{string(NamesUnderscores.Metric([]byte(name))), string(NamesUnderscores.Label([]byte(name)))}; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if got := string(NamesUTF8.Metric([]byte(name))); got != name {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}
