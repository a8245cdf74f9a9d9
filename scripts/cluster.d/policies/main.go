// Decides by the cluster's network policies which new connections the kernel lets through: the kernel asks
// through a queue. Upstream's own program only runs in a pod; this one is told where its kubeconfig is.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: policies KUBECONFIG")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(kubeconfig string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	objects := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(client,
		objects.Networking().V1().NetworkPolicies(), objects.Core().V1().Namespaces(), objects.Core().V1().Pods(),
		nil, nil, nil, nil,
		// It asks containerd for addresses, too; that this containerd has no such plugins does no harm. To switch
		// it off does: version 0.8.0 then crashes at the first address that belongs to no pod.
		networkpolicy.Config{NodeName: "daybook", QueueID: 100, FailOpen: true, NFTableName: "daybook-policies"})
	if err != nil {
		return err
	}
	objects.Start(ctx.Done())
	return controller.Run(ctx)
}
