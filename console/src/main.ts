import { createApp } from 'vue';
import App from './App.vue';
import { router } from './router';
import { tellProblem } from './store/notices';
import './styles.css';

const app = createApp(App);
// What a component did not handle is shown, not swallowed; the log keeps the stack for whoever looks.
app.config.errorHandler = (error) => {
  console.error(error);
  tellProblem(error);
};
app.use(router);
app.mount('#app');
