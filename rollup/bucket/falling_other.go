//go:build !amd64

package bucket

func (f *falling) add(vs []float64, i int) bool { return f.addPortable(vs, i) }
