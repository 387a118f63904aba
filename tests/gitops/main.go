// Says what the tools of GitOps make of Backfills, by the code that those tools themselves run.
//
//	verdicts FILE..
//
// prints a line for each file, in their order: the base name, what kstatus says (Flux, Helm 4, kpt),
// and what Flux says that was given the healthCheckExprs of docs/gitops. A file that is no object ends
// it with 1.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// As in a Flux Kustomization. It is read here, so that what is tested is what is documented.
type healthCheckExprs struct {
	HealthCheckExprs []struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Current    string `json:"current"`
		InProgress string `json:"inProgress"`
		Failed     string `json:"failed"`
	} `json:"healthCheckExprs"`
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// The fields of an object are the variables of an expression. One that reads what is not there is an error, which Flux
// takes for "not so" (cel-go's, and its StatusEvaluator's).
func holds(expression string, object map[string]any) (bool, error) {
	if expression == "" {
		return false, nil
	}
	env, err := cel.NewEnv(cel.Variable("apiVersion", cel.StringType), cel.Variable("kind", cel.StringType),
		cel.Variable("metadata", cel.DynType), cel.Variable("spec", cel.DynType), cel.Variable("status", cel.DynType))
	if err != nil {
		return false, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return false, issues.Err()
	}
	if ast.OutputType() != cel.BoolType {
		return false, fmt.Errorf("%s: is no condition", expression)
	}
	program, err := env.Program(ast)
	if err != nil {
		return false, err
	}
	out, _, err := program.Eval(object)
	if err != nil {
		if strings.Contains(err.Error(), "no such key") || strings.Contains(err.Error(), "no such attribute") {
			return false, nil
		}
		return false, err
	}
	return out.Value().(bool), nil
}

// In the order of fluxcd/pkg/runtime/cel: generation, inProgress, failed, current.
func flux(exprs healthCheckExprs, object *unstructured.Unstructured) (string, error) {
	observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if err != nil {
		return "", err
	}
	if found && observed != object.GetGeneration() {
		return "InProgress", nil
	}
	for _, e := range exprs.HealthCheckExprs {
		if e.APIVersion != object.GetAPIVersion() || e.Kind != object.GetKind() {
			continue
		}
		for _, rule := range []struct{ expression, verdict string }{
			{e.InProgress, "InProgress"}, {e.Failed, "Failed"}, {e.Current, "Current"},
		} {
			so, err := holds(rule.expression, object.Object)
			if err != nil {
				return "", err
			}
			if so {
				return rule.verdict, nil
			}
		}
		return "InProgress", nil
	}
	return "", fmt.Errorf("no expression is for %s %s", object.GetAPIVersion(), object.GetKind())
}

func verdicts(exprs healthCheckExprs, path string) (string, error) {
	object := &unstructured.Unstructured{}
	if err := read(path, &object.Object); err != nil {
		return "", err
	}
	// As a client has it: numbers are int64 or float64.
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return "", err
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		return "", err
	}
	if err := object.UnmarshalJSON(json); err != nil {
		return "", err
	}
	result, err := status.Compute(object)
	if err != nil {
		return "", err
	}
	byExpression, err := flux(exprs, object)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s kstatus=%s flux=%s", filepath.Base(path), result.Status, byExpression), nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verdicts EXPRESSIONS FILE..")
		os.Exit(2)
	}
	var exprs healthCheckExprs
	if err := read(os.Args[1], &exprs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, path := range os.Args[2:] {
		line, err := verdicts(exprs, path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
		fmt.Println(line)
	}
}
