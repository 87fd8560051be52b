// Gen compiles the .proto files of the directory above and writes their Go code
// beside them:
//
//	cd proto/gen && go run .
//
// It is a module of its own, so that the compiler and Google's generators are
// no dependencies of the server, and it needs no protoc.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"
)

// root is the import path of the .proto files, and where their code goes.
const root = ".."

// plugins are tools of this module, with their parameters.
var plugins = map[string]string{
	"protoc-gen-go":      "paths=source_relative",
	"protoc-gen-go-grpc": "paths=source_relative",
}

func main() {
	if err := generate(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(root, "tsdb", "*", "*.proto"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for i, f := range files {
		if files[i], err = filepath.Rel(root, f); err != nil {
			return err
		}
	}
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{root}},
		SourceInfoMode: protocompile.SourceInfoStandard, // for the comments
	}
	compiled, err := compiler.Compile(ctx, files...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: files}
	for _, f := range compiled { // sorted, and common.proto comes before what imports it
		request.ProtoFile = append(request.ProtoFile, protoutil.ProtoFromFileDescriptor(f))
	}
	for plugin, parameter := range plugins {
		request.Parameter = &parameter
		if err := run(ctx, plugin, request); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	return nil
}

// run gives the request to a plugin and writes the files it answers.
func run(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest) error {
	in, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", *response.Error)
	}
	for _, f := range response.File {
		if err := os.WriteFile(filepath.Join(root, f.GetName()), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
